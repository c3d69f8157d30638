end
return level()
