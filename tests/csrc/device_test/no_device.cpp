// device_test built without a CUDA compiler: the host's side only.
#include "problem.h"

namespace device_test {

std::string no_device() { return "built without a CUDA compiler"; }
std::string device_name() { return ""; }
int64_t device_sms() { return 0; }
Found on_device(const Problem&, bool) { return {{}, 0.0, 0.0, no_device()}; }

}  // namespace device_test
