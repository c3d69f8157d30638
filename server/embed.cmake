# Turns a file into a C source with its bytes, NUL-terminated:
#
#     cmake -DINPUT=server/config/presets.json -DOUTPUT=presets.c -DNAME=ration_presets_json -P embed.cmake
#
# gives `const char ration_presets_json[]` and `const unsigned long ration_presets_json_size` (without the NUL).
foreach(needed INPUT OUTPUT NAME)
  if(NOT DEFINED ${needed})
    message(FATAL_ERROR "embed.cmake needs -D${needed}=...")
  endif()
endforeach()

file(READ "${INPUT}" hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
# Sixteen bytes a line, so that compilers and people can read it. char may be signed: octal escapes would do as well,
# but string literals have a length limit in C11.
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
get_filename_component(file_name "${INPUT}" NAME)
file(WRITE "${OUTPUT}"
"/* Made from ${file_name} when Ration was built. */
extern const char ${NAME}[];
extern const unsigned long ${NAME}_size;
const unsigned long ${NAME}_size = ${size};
const char ${NAME}[] = {
${bytes}
0};
")
