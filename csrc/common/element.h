// The element types by name, and how code is chosen for a type that is known when it runs.
#pragma once

#include "common/widen.h"

namespace vitprobe {

enum class Element { f32, f64, bf16, f16 };

constexpr Element element_of(float) { return Element::f32; }
constexpr Element element_of(double) { return Element::f64; }
constexpr Element element_of(BF16) { return Element::bf16; }
constexpr Element element_of(F16) { return Element::f16; }

// run(T{}) with the one of the types Ts that `type` names; false if it names none of them.
template <class... Ts, class Run> bool with_type(Element type, const Run& run) {
  return (... || (type == element_of(Ts{}) && (run(Ts{}), true)));
}

}  // namespace vitprobe
