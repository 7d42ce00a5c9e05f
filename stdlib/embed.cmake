# Writes a C++ source that holds every .model file below ROOT as a string, by its path.
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.model)
list(SORT files)
set(text "#include \"compiler/elaborate/elaborate.h\"\n\nnamespace kiln {\nconst std::map<std::string, std::string> &stdlib_sources() {\n    static const std::map<std::string, std::string> sources = {\n")
foreach(file ${files})
  # Read as hexadecimal: a list-separating semicolon or a bracket in the text must not be interpreted by CMake.
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${hex}")
  string(LENGTH "${hex}" length)
  math(EXPR bytes "${length} / 2")
  string(APPEND text "        {\"${file}\", std::string(\"${escaped}\", ${bytes})},\n")
endforeach()
string(APPEND text "    };\n    return sources;\n}\n}  // namespace kiln\n")
file(WRITE ${OUT} "${text}")
