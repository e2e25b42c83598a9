// WorkerPool: runs what blocks beside the event loop.
//
// A coroutine waits for its work until a deadline or until it is cancelled; in
// both cases the work is abandoned: not started if it still waits, else its
// result is destroyed on the event loop as soon as it is there.
// Owns: the threads. Borrows: the io_context, which counts waiting work as its
//   own, so that its run() returns only when no work is left.
// Thread: Run on the event loop.
// Bound: max_jobs waiting or running; Run says Exhausted above.
#ifndef DAEMON_SERVER_WORKER_POOL_H_
#define DAEMON_SERVER_WORKER_POOL_H_

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "daemon/base/status.h"

namespace pprofd {

class WorkerPool {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  // kAlways is for work that ends what other work has begun.
  enum class Admission { kIfRoom, kAlways };

  WorkerPool(boost::asio::io_context& io, size_t threads, size_t max_jobs)
      : io_(io), max_jobs_(max_jobs), threads_(threads) {}
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // Waits for running work.
  ~WorkerPool() { threads_.join(); }

  // `work` is called once, without arguments, and returns Result<T>.
  // Fails: Exhausted, Timeout, and what `work` says.
  template <typename T, typename Work>
  boost::asio::awaitable<Result<T>> Run(
      Work work, TimePoint deadline, Admission admission = Admission::kIfRoom) {
    if (admission == Admission::kIfRoom && jobs_.load() >= max_jobs_) {
      co_return Status(StatusCode::kExhausted, "too many concurrent requests");
    }
    auto job = std::make_shared<Job<T>>(io_, deadline);
    Submit(job, std::move(work));
    Abandonment<T> abandonment{job};
    if (!job->done) {
      co_await job->finished.async_wait(
          boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (!job->done) {
      co_return Status(StatusCode::kTimeout, "the request took too long");
    }
    Result<T> result = std::move(*job->result);
    co_return result;
  }

 private:
  template <typename T>
  struct Job {
    Job(boost::asio::io_context& io, TimePoint deadline)
        : guard(io.get_executor()), finished(io, deadline) {}

    boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
        guard;
    // Expires at the deadline; cancelled when the work is done.
    boost::asio::steady_timer finished;
    std::atomic<bool> abandoned{false};
    std::optional<Result<T>> result;  // the worker's until `done`
    bool done = false;                // event loop only
  };

  template <typename T>
  struct Abandonment {
    std::shared_ptr<Job<T>> job;
    ~Abandonment() { job->abandoned.store(true); }
  };

  template <typename T, typename Work>
  void Submit(std::shared_ptr<Job<T>> job, Work work) {
    jobs_.fetch_add(1);
    boost::asio::post(threads_, [this, job = std::move(job),
                                 work = std::move(work)]() mutable {
      {
        Work mine = std::move(work);
        if (!job->abandoned.load()) job->result = Call<T>(mine);
      }
      jobs_.fetch_sub(1);
      // The last reference dies on the event loop, with the guard.
      boost::asio::post(io_, [job = std::move(job)] {
        job->done = true;
        job->finished.cancel();
      });
    });
  }

  template <typename T, typename Work>
  static Result<T> Call(Work& work) {
    try {
      return work();
    } catch (const std::exception& failure) {
      return Status(StatusCode::kIo, std::string("failed: ") + failure.what());
    }
  }

  boost::asio::io_context& io_;
  const size_t max_jobs_;
  std::atomic<size_t> jobs_{0};
  boost::asio::thread_pool threads_;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_WORKER_POOL_H_
