"""What a grade is: contracts, derivations, components, total. Pure: frames in, frames out."""
