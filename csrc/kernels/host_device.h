// VP_HD marks the maths that the CPU kernels, the CUDA kernels and the host test module share.
// Under nvcc such a function is compiled for both sides; for any other compiler it is plain C++17.
#pragma once

#if defined(__CUDACC__)
#define VP_HD __host__ __device__
#else
#define VP_HD
#endif
