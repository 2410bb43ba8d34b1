//! Work that several threads take part in.

use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Threads of our own, as many as rayon has by default. Its global ones may be waiting for a lock that whoever calls us
/// holds, and would never come to what a scan waits for.
pub(crate) fn pool() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let named = ThreadPoolBuilder::new().thread_name(|index| format!("vkscan {index}"));
        named.build().expect("threads can be started")
    })
}

/// Shares `count` tasks out among threads; this one does something else first, and then takes part.
pub(crate) fn share_out<T, R>(
    tasks: impl Iterator<Item = T> + Send,
    count: usize,
    work: impl Fn(T) + Sync,
    meanwhile: impl FnOnce() -> R,
) -> R {
    let tasks = Mutex::new(tasks);
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_on = || {
        while let Some(task) = next() {
            work(task);
        }
    };
    pool().in_place_scope(|scope| {
        for _ in 1..pool().current_num_threads().min(count) {
            scope.spawn(|_| work_on());
        }
        let done = meanwhile();
        work_on();
        done
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn tasks_are_done_once_each_whatever_else_is_done_meanwhile() {
        for count in [0, 1, 2, 1000] {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let work = |task: &AtomicUsize| {
                task.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(share_out(done.iter(), count, work, || 7), 7);
            assert!(done.iter().all(|task| task.load(Ordering::Relaxed) == 1));
        }
    }
}
