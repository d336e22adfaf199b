// What csrc/cuda's launchers want of torch's stable headers, with tensors that are only addresses:
// so the launchers as they are run without torch, and what they launch is executed (runtime.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

extern "C" {
struct Described {  // a tensor as Python passes it (ctypes)
  void* data;
  int32_t type, dim;
  int64_t sizes[6], strides[6];
};
struct Argument {
  int32_t kind;  // of the fields below: 0 none, 1 integer, 2 number, 3 tensors
  int32_t count;
  int64_t integer;
  double number;
  const Described* tensors;
};
}

namespace torch::headeronly {

enum class ScalarType : int32_t { Float, Double, BFloat16, Half };

template <class... Words> [[noreturn]] void refuse(const Words&... words) {
  std::ostringstream text;
  (text << ... << words);
  throw std::runtime_error(text.str());
}

}  // namespace torch::headeronly

namespace torch::stable {

using headeronly::ScalarType;

void* new_bytes(int64_t bytes);  // runtime.cpp

class Tensor {
 public:
  explicit Tensor(const Described& own) : own_(own) {}

  const Described& described() const { return own_; }
  int64_t dim() const { return own_.dim; }
  int64_t size(int64_t d) const { return own_.sizes[d]; }
  int64_t stride(int64_t d) const { return own_.strides[d]; }
  std::vector<int64_t> sizes() const { return {own_.sizes, own_.sizes + own_.dim}; }
  std::vector<int64_t> strides() const { return {own_.strides, own_.strides + own_.dim}; }
  int64_t numel() const {
    int64_t all = 1;
    for (int d = 0; d < own_.dim; ++d) all *= own_.sizes[d];
    return all;
  }
  ScalarType scalar_type() const { return static_cast<ScalarType>(own_.type); }
  const void* const_data_ptr() const { return own_.data; }
  void* mutable_data_ptr() const { return own_.data; }
  int32_t get_device_index() const { return 0; }
  bool is_cuda() const { return true; }

 private:
  Described own_;
};

inline Tensor new_empty(const Tensor& like, const std::vector<int64_t>& sizes,
                        std::optional<ScalarType> type = {}) {
  static const int64_t kBytes[] = {4, 8, 2, 2};
  const auto kind = static_cast<int32_t>(type.value_or(like.scalar_type()));
  Described made{nullptr, kind, static_cast<int32_t>(sizes.size()), {}, {}};
  int64_t all = 1;
  for (int d = made.dim - 1; d >= 0; --d) {
    made.sizes[d] = sizes[d];
    made.strides[d] = all;
    all *= sizes[d];
  }
  made.data = new_bytes(all * kBytes[kind]);
  return Tensor(made);
}

inline Tensor contiguous(const Tensor& x) {
  int64_t expected = 1;
  for (int d = static_cast<int>(x.dim()) - 1; d >= 0; expected *= x.size(d--)) {
    if (x.size(d) != 1 && x.stride(d) != expected) headeronly::refuse("a copy is torch's to make");
  }
  return x;
}

namespace accelerator {

using DeviceIndex = int32_t;
struct DeviceGuard {
  explicit DeviceGuard(DeviceIndex) {}
};

}  // namespace accelerator

// One operator, called with arguments as Python passes them; the results' number.
using Boxed = std::function<int(const Argument*, Described*)>;
std::map<std::string, Boxed>& operators();  // runtime.cpp

template <class T> T unboxed(const Argument& from) {
  if constexpr (std::is_same_v<T, Tensor>) {
    return Tensor(from.tensors[0]);
  } else if constexpr (std::is_same_v<T, std::optional<Tensor>>) {
    return from.kind == 0 ? T{} : T{Tensor(from.tensors[0])};
  } else if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
    T all;
    for (int i = 0; i < from.count; ++i) all.emplace_back(from.tensors[i]);
    return all;
  } else if constexpr (std::is_same_v<T, double>) {
    return from.number;
  } else {
    static_assert(std::is_integral_v<T>);
    return static_cast<T>(from.integer);
  }
}

inline int give(Described* to, const Tensor& one) {
  *to = one.described();
  return 1;
}
template <class... Tensors> int give(Described* to, const std::tuple<Tensors...>& all) {
  return std::apply([&](const auto&... one) { return (0 + ... + give(to++, one)); }, all);
}

template <class Result, class... Of> Boxed boxed(Result (*function)(Of...)) {
  return [function](const Argument* from, Described* to) {
    return [&]<size_t... i>(std::index_sequence<i...>) {
      if constexpr (std::is_void_v<Result>) {
        function(unboxed<std::decay_t<Of>>(from[i])...);
        return 0;
      } else {
        return give(to, function(unboxed<std::decay_t<Of>>(from[i])...));
      }
    }(std::index_sequence_for<Of...>{});
  };
}

struct Library {
  void impl(const char* name, Boxed operation) { operators()[name] = std::move(operation); }
};

}  // namespace torch::stable

inline int aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}

#define STD_TORCH_CHECK(condition, ...) \
  if (!(condition)) torch::headeronly::refuse(__VA_ARGS__)
#define STD_CUDA_CHECK(call) \
  if (const int refused_ = (call)) torch::headeronly::refuse("CUDA error ", refused_)
#define TORCH_ERROR_CODE_CHECK(call) STD_CUDA_CHECK(call)
#define TORCH_BOX(function) torch::stable::boxed(function)
#define STABLE_TORCH_LIBRARY_IMPL(name, device, library) VP_LIBRARY(__COUNTER__, library)
#define VP_LIBRARY(number, library) VP_LIBRARY_OF(number, library)
#define VP_LIBRARY_OF(number, library)                               \
  static void add_operators_##number(torch::stable::Library);        \
  static const int added_##number = (add_operators_##number({}), 0); \
  static void add_operators_##number(torch::stable::Library library)
