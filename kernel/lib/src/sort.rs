//! Sorting in little code: a heapsort, for lists that are sorted now and then. Each instance of the library's sorts is
//! 3 to 6 KB of the kernel.

/// Sorts by `less`, in place, in time `n log n` whatever the order was. Equal items may change places.
pub fn sort_by<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sift_down(items, root, &less);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sift_down(&mut items[..end], 0, &less);
    }
}

/// Makes a heap of what is one but for `root`: no item is less than its children, at `2 * i + 1` and `2 * i + 2`.
fn sift_down<T>(items: &mut [T], mut root: usize, less: &impl Fn(&T, &T) -> bool) {
    loop {
        let mut child = 2 * root + 1;
        if child + 1 < items.len() && less(&items[child], &items[child + 1]) {
            child += 1;
        }
        if child >= items.len() || !less(&items[root], &items[child]) {
            return;
        }
        items.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn sorts_as_the_library_does(mut items in proptest::collection::vec(0u8..50, 0..200)) {
            let mut wanted = items.clone();
            wanted.sort_unstable();
            sort_by(&mut items, |a, b| a < b);
            prop_assert_eq!(items, wanted);
        }
    }

    #[test]
    fn sorts_what_is_sorted_either_way() {
        for len in 0..20u32 {
            let wanted: Vec<u32> = (0..len).collect();
            let (mut up, mut down) = (wanted.clone(), wanted.iter().rev().copied().collect::<Vec<_>>());
            sort_by(&mut up, |a, b| a < b);
            sort_by(&mut down, |a, b| a < b);
            assert_eq!((up, down), (wanted.clone(), wanted));
        }
    }
}
