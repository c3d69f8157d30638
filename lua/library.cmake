# Puts the library of functions together:
#
#     cmake -DTEMPLATE=library.lua.in "-DPARTS=a.lua;b.lua" -DOUTPUT=library.lua -P library.cmake
#
# writes the template with the parts, in their order, in place of @PARTS@, and ration_<the text's hash> in place of @NAME@.
cmake_minimum_required(VERSION 3.25)

foreach(needed TEMPLATE PARTS OUTPUT)
  if(NOT DEFINED ${needed})
    message(FATAL_ERROR "library.cmake needs -D${needed}=...")
  endif()
endforeach()

set(joined "")
foreach(part IN LISTS PARTS)
  file(READ "${part}" text)
  string(APPEND joined "${text}")
endforeach()
file(READ "${TEMPLATE}" library)
string(REPLACE "@PARTS@" "${joined}" library "${library}")
string(SHA1 hash "${library}")
string(SUBSTRING "${hash}" 0 16 hash)
string(REPLACE "@NAME@" "ration_${hash}" library "${library}")
file(WRITE "${OUTPUT}" "${library}")
