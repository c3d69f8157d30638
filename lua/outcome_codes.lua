-- The outcomes of an operation, as the answer states them (README.md).

local GRANTED, DENIED, SETTLED, LATE, DUPLICATE, PEEKED, NOSUCH, FOREIGN, ENDED, CROWDED = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
