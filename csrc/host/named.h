// Element types by the names that the tests give them.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "common/element.h"

namespace vitprobe::kernels {

// What run(T{}) returns, a Python object, with the one of the types Ts that has this name.
template <class... Ts, class Run>
pybind11::object with_type_named(const std::string& name, const Run& run) {
  constexpr const char* kNames[] = {"f32", "f64", "bf16", "f16"};  // in the order of Element
  pybind11::object result;
  for (const Element type : {Element::f32, Element::f64, Element::bf16, Element::f16}) {
    if (name == kNames[static_cast<int>(type)] &&
        with_type<Ts...>(type, [&](auto element) { result = run(element); })) {
      return result;
    }
  }
  throw std::invalid_argument("no such type");
}

}  // namespace vitprobe::kernels
