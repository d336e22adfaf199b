// Which of an operator's kernels runs. The simple ones are the default until the fast ones have
// passed every test on a real GPU: the switch is the constant below (vitprobe/ops/variants.py says
// the same to Python), and an environment variable, read at every call, picks either.
#pragma once

#include <cstdlib>
#include <string_view>

#include <torch/headeronly/util/Exception.h>

namespace vitprobe {

enum class Variant { simple, fast };

constexpr Variant kHsicDefault = Variant::simple;  // VITPROBE_HSIC

inline Variant chosen(const char* variable, Variant otherwise) {
  const char* value = std::getenv(variable);
  const std::string_view name = value == nullptr ? "" : value;
  if (name.empty()) return otherwise;
  STD_TORCH_CHECK(name == "simple" || name == "fast", variable, " is simple or fast, not '", value,
                  "'");
  return name == "fast" ? Variant::fast : Variant::simple;
}

}  // namespace vitprobe
