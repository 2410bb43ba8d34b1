//! Ends the process where something takes too long, of the CPU's time: a busy machine is no fault.

use std::sync::{Condvar, Mutex, Once};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What compiling, preparing or scanning may take of the process' CPU time.
const MOST: Duration = Duration::from_secs(10);

/// What is watched, and the CPU time at which it has taken too long.
static WATCHED: Mutex<Option<(String, Duration)>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

/// Does something, and ends the process if it takes more than 10 s of CPU. Only one thing may be watched at a time.
pub fn watch<T>(what: impl FnOnce() -> String, work: impl FnOnce() -> T) -> T {
    static WATCHDOG: Once = Once::new();
    WATCHDOG.call_once(|| {
        std::thread::spawn(watchdog);
    });
    let set = |watched| {
        *WATCHED.lock().unwrap() = watched;
        CHANGED.notify_all();
    };
    struct Unwatch<F: Fn(Option<(String, Duration)>)>(F);
    impl<F: Fn(Option<(String, Duration)>)> Drop for Unwatch<F> {
        fn drop(&mut self) {
            (self.0)(None);
        }
    }
    set(Some((what(), cpu_time() + MOST)));
    let _unwatch = Unwatch(set);
    work()
}

fn watchdog() {
    let mut watched = WATCHED.lock().unwrap();
    loop {
        match &*watched {
            None => watched = CHANGED.wait(watched).unwrap(),
            Some((what, deadline)) => {
                let now = cpu_time();
                if now >= *deadline {
                    let seed = super::seeds::current();
                    // Tables take megabytes to print.
                    let what: String = what.chars().take(4000).collect();
                    eprintln!("seed {seed} takes over {} s of CPU {what}", MOST.as_secs());
                    std::process::abort();
                }
                // Every core may take its share of what is left.
                let left = (*deadline - now) / 64 + Duration::from_millis(20);
                watched = CHANGED.wait_timeout(watched, left).unwrap().0;
            }
        }
    }
}

/// What all threads of the process have taken.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
