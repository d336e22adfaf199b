// The attention kernels on the host, in a file of its own, which compiles beside module.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace vitprobe::kernels {

void add_attention(pybind11::module_& m);

}  // namespace vitprobe::kernels
