# Writes OUT: the bitcode of SOURCE as an array NAME.
execute_process(COMMAND ${LLVM_AS} ${SOURCE} -o ${OUT}.bc COMMAND_ERROR_IS_FATAL ANY)
file(READ ${OUT}.bc hex HEX)
file(REMOVE ${OUT}.bc)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include <cstdint>\n#include <vector>\nnamespace kiln { extern const std::vector<uint8_t> ${NAME}; const std::vector<uint8_t> ${NAME}{${bytes}}; }\n")
