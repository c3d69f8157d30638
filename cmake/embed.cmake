# Embeds files into a program by turning them into C sources:
#
#     include(embed)
#     ration_embed(ration_presets_json server/config/presets.json)
#
# makes ${CMAKE_CURRENT_BINARY_DIR}/ration_presets_json.c with `const char ration_presets_json[]`,
# NUL-terminated, and `const unsigned long ration_presets_json_size`, not counting the NUL. This
# file is also the script that writes the source.
set(RATION_EMBED_FILE ${CMAKE_CURRENT_LIST_FILE})

function(ration_embed name file)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${output} -DNAME=${name} -P ${RATION_EMBED_FILE}
    DEPENDS ${file} ${RATION_EMBED_FILE}
    VERBATIM)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  foreach(needed INPUT OUTPUT NAME)
    if(NOT DEFINED ${needed})
      message(FATAL_ERROR "embed.cmake needs -D${needed}=...")
    endif()
  endforeach()

  file(READ "${INPUT}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  # Sixteen bytes per line, so that compilers and people can read it. An array, because C11 limits
  # the length of string literals.
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
endif()
