//! Runs work on all cores.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// Applies a function to each item. The results have the order of the items.
pub fn map<'a, T: Sync, R: Send>(items: &'a [T], each: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(1);
    let each = &each;
    thread::scope(|scope| {
        let work = |share| scope.spawn(move || Iterator::map(<[T]>::iter(share), each).collect());
        let workers: Vec<thread::ScopedJoinHandle<'_, Vec<R>>> =
            items.chunks(share).map(work).collect();
        let done = |worker: thread::ScopedJoinHandle<'_, Vec<R>>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        workers.into_iter().flat_map(done).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled: Vec<u32> = items.iter().map(|number| number * 2).collect();
        assert_eq!(map(&items, |number| number * 2), doubled);
        assert!(map(&[], |number: &u32| *number).is_empty());
    }
}
