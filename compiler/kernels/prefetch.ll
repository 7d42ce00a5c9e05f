; What Halide 14 has only for lines that are read once, which do not stay in the second cache. Linked into the kernels that call it.
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"

; Asks for the line at an offset in bytes, to be read from the second cache.
define weak_odr i32 @prefetch_line(i8* %base, i32 %offset) nounwind alwaysinline {
  %distance = sext i32 %offset to i64
  %address = getelementptr i8, i8* %base, i64 %distance
  call void @llvm.prefetch.p0i8(i8* %address, i32 0, i32 2, i32 1) #0
  ret i32 0
}

; The same for a line that is stored to: no other processor keeps it.
define weak_odr i32 @prefetch_line_to_store(i8* %base, i32 %offset) nounwind alwaysinline {
  %distance = sext i32 %offset to i64
  %address = getelementptr i8, i8* %base, i64 %distance
  call void @llvm.prefetch.p0i8(i8* %address, i32 1, i32 2, i32 1) #0
  ret i32 0
}

declare void @llvm.prefetch.p0i8(i8*, i32, i32, i32)

; It changes nothing: sums stay in registers over it.
attributes #0 = { inaccessiblememonly nounwind }
