-- As the first statement of a transaction: all that it reads is of one moment.
set transaction isolation level repeatable read read only
