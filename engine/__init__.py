"""What a grade is: contracts, derivations, components and the total. Pure: frames in, frames out."""
