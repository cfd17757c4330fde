// The cache commands that both programs run. Each runs one understood command line and returns the
// exit code; what went wrong has been said on stderr.
#pragma once

#include "session.h"

namespace sluice::cache_cli {

class BatchFormat;

int run_get(Session& session);
int run_set(Session& session);
// --pattern, --interactive and --max-delete need the engine's parts.
int run_delete(Session& session);
int run_size(Session& session);
// `format` reads the operations and writes the answers (batch.h).
int run_batch(Session& session, BatchFormat& format);

// These return the code of the command that they run, or one of the constants in session.h.
int run_exec(Session& session);
int run_lock(Session& session);

}  // namespace sluice::cache_cli
