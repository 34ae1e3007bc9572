//! Threads for arithmetic behind a bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use domain::error::Source;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Somebody waits for it.
    Urgent,
    /// After everything urgent.
    Patient,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Threads that take jobs from a queue, urgent ones first, each kind in the order of arrival.
/// Dropping it lets the threads finish the job in hand and end; jobs still waiting are dropped.
pub(crate) struct Workers<J> {
    queue: Arc<Queue<J>>,
    // Each thread is a rayon pool of one, so that parallel code inside a job stays on its thread.
    _pools: Vec<rayon::ThreadPool>,
}

impl<J: Send + 'static> Workers<J> {
    /// Starts `threads` threads that hand each job to `run`; at most `waiting` jobs of each rank wait.
    pub(crate) fn start(
        name: &'static str,
        threads: usize,
        waiting: usize,
        run: impl Fn(J) + Send + Sync + 'static,
    ) -> Result<Self, Source> {
        let queue = Arc::new(Queue::new(waiting));
        let run = Arc::new(run);
        let mut pools = Vec::with_capacity(threads);
        for index in 0..threads.max(1) {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(move |_| format!("{name}-{index}"))
                .build()?;
            let (queue, run) = (Arc::clone(&queue), Arc::clone(&run));
            pool.spawn(move || work(&queue, run.as_ref(), name));
            pools.push(pool);
        }
        Ok(Self {
            queue,
            _pools: pools,
        })
    }

    /// Queues a job.
    pub(crate) fn submit(&self, job: J, rank: Rank) -> Result<(), Full> {
        self.queue.push(job, rank)
    }
}

impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Runs jobs until the queue is closed. A job that panics takes nothing down with it: whoever waits
/// for its answer sees the answer's channel close.
fn work<J>(queue: &Queue<J>, run: &impl Fn(J), name: &str) {
    while let Some(job) = queue.pop() {
        if catch_unwind(AssertUnwindSafe(|| run(job))).is_err() {
            tracing::error!(worker = name, "a model failed on a job");
        }
    }
}

struct Queue<J> {
    state: Mutex<State<J>>,
    ready: Condvar,
    waiting: usize,
}

struct State<J> {
    urgent: VecDeque<J>,
    patient: VecDeque<J>,
    closed: bool,
}

impl<J> Queue<J> {
    fn new(waiting: usize) -> Self {
        let state = State {
            urgent: VecDeque::new(),
            patient: VecDeque::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
            waiting: waiting.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No code that can panic runs under the lock, so a poisoned queue is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: J, rank: Rank) -> Result<(), Full> {
        let mut state = self.lock();
        let jobs = match rank {
            Rank::Urgent => &mut state.urgent,
            Rank::Patient => &mut state.patient,
        };
        if jobs.len() >= self.waiting {
            return Err(Full);
        }
        jobs.push_back(job);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    fn pop(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state
                .urgent
                .pop_front()
                .or_else(|| state.patient.pop_front())
            {
                return Some(job);
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.urgent.clear();
        state.patient.clear();
        drop(state);
        self.ready.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn urgent_jobs_overtake_patient_ones() {
        let queue = Queue::new(4);
        queue.push("patient", Rank::Patient).unwrap();
        queue.push("urgent", Rank::Urgent).unwrap();
        assert_eq!(
            (queue.pop(), queue.pop()),
            (Some("urgent"), Some("patient"))
        );
    }

    #[test]
    fn a_full_queue_refuses_its_own_rank_only() {
        let queue = Queue::new(1);
        assert_eq!(queue.push(1, Rank::Patient), Ok(()));
        assert_eq!(queue.push(2, Rank::Patient), Err(Full));
        assert_eq!(queue.push(3, Rank::Urgent), Ok(()));
    }

    #[test]
    fn a_closed_queue_drops_what_waits() {
        let queue = Queue::new(1);
        queue.push(1, Rank::Urgent).unwrap();
        queue.close();
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_worker_outlives_a_job_that_panics() {
        let (sender, done) = mpsc::channel();
        let workers = Workers::start("test", 1, 4, move |job: u32| {
            assert_ne!(job, 0, "this job fails on purpose");
            sender.send(job).unwrap();
        })
        .unwrap();
        workers.submit(0, Rank::Urgent).unwrap();
        workers.submit(7, Rank::Urgent).unwrap();
        assert_eq!(done.recv(), Ok(7));
    }

    #[test]
    fn a_worker_keeps_parallel_code_on_its_own_thread() {
        let (sender, done) = mpsc::channel();
        let workers = Workers::start("test", 1, 4, move |(): ()| {
            sender.send(rayon::current_num_threads()).unwrap();
        })
        .unwrap();
        workers.submit((), Rank::Urgent).unwrap();
        assert_eq!(done.recv(), Ok(1));
    }
}
