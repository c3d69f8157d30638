-- A level of functions (close.lua ends it). What is declared before it reaches the functions inside as an upvalue of this one
-- function, which costs next to nothing; as a local of the same level it is searched for in the list of all that were captured
-- before, each time a function is made. A hundred functions are made for each batch: that is most of what an empty batch costs.
local function level()
