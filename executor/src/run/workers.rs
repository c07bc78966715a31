//! Threads that attempts run on: as many as there are attempts at once, kept for the next ones.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads. Dropping it lets idle threads end and waits for none: an attempt that must
/// not be left alone has been waited for by whoever started it.
#[derive(Default)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workers {
    /// Runs `task` on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no further thread; the task is then not run.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let mut queue = self.shared.lock();
        if queue.idle <= queue.tasks.len() {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new().name("attempt".to_owned()).spawn(move || work(&shared))?;
            queue.idle += 1;
        }
        queue.tasks.push_back(Box::new(task));
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.lock();
    loop {
        if let Some(task) = queue.tasks.pop_front() {
            queue.idle -= 1;
            drop(queue);
            task();
            queue = shared.lock();
            queue.idle += 1;
        } else if queue.closed {
            return;
        } else {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
