-- Nothing looks for generations by their key alone: a key's are among its account's.
DROP INDEX generations_by_key;
