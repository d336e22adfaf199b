// The CUDA kernels as the launchers in csrc/cuda see them: raw pointers on the GPU, one stream.
// Nothing waits for the GPU; what is returned is the first error of a launch, if any, and
// cudaErrorInvalidValue for types that have no kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "common/element.h"
#include "cuda/attention/parts.h"
#include "cuda/gram/group.h"
#include "cuda/hsic/simple.h"
#include "cuda/hsic/split.h"
#include "cuda/matrix.h"
#include "cuda/product.h"

namespace vitprobe::kernels {

// cuda/device/image.cu; cudaSuccess where the current device can run these kernels.
cudaError_t find_image();

// cuda/gram/simple.h; x_type any, mean f64 for f64 and f32 otherwise, out_type f32 or f64 (f64 for
// f64).
cudaError_t launch_gram(const AnyMatrix& x, Element x_type, const ProductPlan& plan, void* mean,
                        double* partials, void* out, Element out_type, cudaStream_t stream);

// cuda/gram/group.h; x_type f32 (by 3xTF32, or TF32), bf16 or f16, the same n for all.
cudaError_t launch_centered_grams(const AnyMatrix* x, int64_t count, Element x_type, bool tf32,
                                  int64_t num_sms, bool biased, const GroupWorkspace& work,
                                  const GroupResults& to, cudaStream_t stream);

// cuda/gram/center.h; (gram_type, out_type) one of (f32, f32), (f64, f64), (f64, f32).
cudaError_t launch_center_pack(const void* gram, Element gram_type, int64_t n, bool biased,
                               double* sums, void* out, Element out_type, cudaStream_t stream);

// cuda/attention/simple.h; bias and out f64 for f64, f32 otherwise.
cudaError_t launch_attention(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Element type, const AnyHeads& bias, double* partials, void* out,
                             cudaStream_t stream);

// cuda/attention/class_row.h; types as for launch_attention.
cudaError_t launch_class_row(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Element type, const AnyHeads& bias, void* out, cudaStream_t stream);

// cuda/attention/fast.h; type bf16 or f16, and fits_matrix_unit(shape, q, k).
cudaError_t launch_attention_fast(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                                  Element type, const AnyHeads& bias, int64_t num_sms,
                                  double* partials, float* out, cudaStream_t stream);

// cuda/hsic/simple.h; both matrices f32 or both f64.
cudaError_t launch_hsic_accumulate(const AnyMatrix& a, const AnyMatrix& b, Element type,
                                   const ProductPlan& plan, double* partials,
                                   const Accumulator& acc, cudaStream_t stream);

// cuda/hsic/fast.h; both matrices f32, plan.per_launch at least 1, partials aligned to 16 bytes.
cudaError_t launch_hsic_accumulate_fast(const AnyMatrix& a, const AnyMatrix& b,
                                        const SplitPlan& plan, float* partials,
                                        const Accumulator& acc, cudaStream_t stream);

}  // namespace vitprobe::kernels
