; Functions of 16 numbers that Halide 14 has of 8 at most: it would take each vector apart and put it together again.
; Linked into the kernels for AVX-512 that call them.
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"

; The square root.
define weak_odr <16 x float> @sqrt_f32x16(<16 x float> %x) nounwind alwaysinline {
  %root = call <16 x float> @llvm.sqrt.v16f32(<16 x float> %x)
  ret <16 x float> %root
}

; 1 / x with a relative error of at most 2^-14, where AVX2 has an estimate of 1.5 * 2^-12.
define weak_odr <16 x float> @fast_inverse_f32x16(<16 x float> %x) nounwind alwaysinline {
  %estimate = call <16 x float> @llvm.x86.avx512.rcp14.ps.512(<16 x float> %x, <16 x float> zeroinitializer, i16 -1)
  ret <16 x float> %estimate
}

declare <16 x float> @llvm.sqrt.v16f32(<16 x float>) nounwind readnone
declare <16 x float> @llvm.x86.avx512.rcp14.ps.512(<16 x float>, <16 x float>, i16) nounwind readnone
