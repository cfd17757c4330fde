// The reserve: space that a namespace keeps for deleting.
#pragma once

#include "localcache/location.h"

namespace sluice::localcache {

// A file of a megabyte beside the database. What is deleted must be written down first, which a
// full disk has no room for: then the file is deleted, and made again when that is done. On file
// systems that compress, or never write to the same place twice, it may be of no help.

// Makes it, if it is not there and there is room.
void keep_reserve(const Location& location);
// Gives its space to the file system. False: it had none.
bool release_reserve(const Location& location);

}  // namespace sluice::localcache
