// Threads beside the main one, and the processors they may run on.
#pragma once

#include <functional>
#include <thread>

namespace kiln::runtime {

/// Processors that this process may run on: those it was started with, whatever a ThreadTeam binds its members to later.
int available_processors();

/// Binds this thread to one of them, counted from 0.
void bind_to_processor(int index);

/// Lets this thread run on all of them.
void release_from_processor();

/// A thread that gets no signals, which are the main thread's business, and that may run on all processors, whatever its maker is bound to.
std::thread background_thread(std::function<void()> body);

}  // namespace kiln::runtime
