// The one place where Asio (and Beast, for the servers) is compiled.
#include <boost/asio/impl/src.hpp>
