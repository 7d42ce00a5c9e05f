// What every function of the generated module shares: types of the ABI, the static table of buffers, kernel and libm
// declarations, debug locations, and the scalars of the context.
#pragma once

#include "compiler/codegen/llvm.h"
#include "compiler/codegen/program_layout.h"

#include <map>
#include <string>

namespace kiln {

class ModuleBuilder {
public:
    ModuleBuilder(const Module &module, const Plan &plan);

    const Plan &plan;
    const ProgramLayout layout;
    llvm::LLVMContext context;
    llvm::Module llvm_module;
    llvm::IRBuilder<> ir;

    llvm::StructType *context_type;  ///< KilnContext
    llvm::PointerType *context_pointer;
    llvm::StructType *buffer_type;   ///< halide_buffer_t
    llvm::PointerType *byte_pointer;

    llvm::Type *type_of(DType dtype);               ///< of a value in a register; boolean is i1
    llvm::Type *memory_type_of(DType dtype);        ///< of an element in memory and of a by-value argument; boolean is i8

    /// Starts a function; code goes to its entry block. Parameters get the names given.
    llvm::Function *begin(const std::string &name, llvm::Type *result, const std::vector<std::pair<llvm::Type *, const char *>> &parameters,
                          bool internal = true);
    /// Ends it: what the verifier objects to is a bug of ours.
    void end(llvm::Function *function);
    /// The .model place of the instructions that follow; an invalid one means "somewhere in this function".
    void set_location(const Loc &loc);

    llvm::Value *integer(int64_t value) { return ir.getInt64(uint64_t(value)); }
    llvm::Constant *text(const std::string &value, const char *name);  ///< i8* to a zero-terminated constant

    // The context: `context` is a KilnContext *.
    llvm::Value *arena_base(llvm::Value *context, llvm::Value *index);
    llvm::Value *load_column(llvm::Value *context, int index);
    llvm::Value *load_augmented(llvm::Value *context, int index);
    llvm::Value *load_scalar(llvm::Value *context, int index);                    ///< double
    void store_scalar(llvm::Value *context, int index, llvm::Value *value);
    void add_to_sum(llvm::Value *context, int index, llvm::Value *value);

    llvm::Constant *buffer(BufferId id);                    ///< halide_buffer_t * of a buffer of the plan
    llvm::Value *buffer_at(llvm::Value *index);             ///< the same, of one that is chosen at run time
    llvm::Value *host_pointer(BufferId id);                 ///< i8 *, loaded
    void set_host_pointer(llvm::Value *buffer, llvm::Value *pointer);
    llvm::FunctionCallee kernel(KernelId id);
    llvm::FunctionCallee math(const char *name, llvm::Type *type, int arguments);  ///< a function of libm

    /// Converts to and from f64, the type of scalars in the context.
    llvm::Value *to_f64(llvm::Value *value, DType from);
    llvm::Value *from_f64(llvm::Value *value, DType to);
    /// An element in memory -> a value in a register.
    llvm::Value *load_element(llvm::Value *pointer, DType dtype);

    llvm::Module &finish();

private:
    void make_buffers();
    llvm::DIFile *debug_file(const std::string &name);

    llvm::DIBuilder debug_;
    llvm::DICompileUnit *unit_ = nullptr;
    llvm::DISubprogram *subprogram_ = nullptr;
    std::string source_name_;
    llvm::GlobalVariable *buffers_ = nullptr;
    llvm::ArrayType *buffers_type_ = nullptr;
};

}  // namespace kiln
