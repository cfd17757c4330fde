// The one place of the fake where Beast is compiled.
#include <boost/beast/src.hpp>
