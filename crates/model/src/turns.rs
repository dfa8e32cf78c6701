//! Whose turn it is when more is to be done than workers can do.

use crate::work::{JobKind, Slots};

/// Jobs of an account and a run that are of one kind and not done, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd<A, R> {
    pub kind: JobKind,
    pub account: A,
    pub run: R,
    /// Claimed.
    pub claimed: u32,
    /// Announced and not claimed.
    pub announced: u32,
    /// To be announced for the first time, now.
    pub fresh: u32,
}

/// What is to be announced of each of `crowds`, in the same order, for the first time.
///
/// - Reading: as many as there are slots.
/// - Uploading: of an account no more than its lane can use (`burst`), two on top so that the lane never
///   waits for them, and half of the slots while another account has something to upload; of all, twice
///   the slots, so that whoever comes new does not stand behind a long queue.
/// - Looking: twice the slots, since somebody waits for each and it is soon done.
/// - Confirming: there is one job for an account, so nothing is to be limited.
///
/// Accounts take turns, and so do the runs of an account: what they have in hand counts. Nothing is
/// announced for a kind for which nobody has a slot.
pub fn turns<A: Eq, R>(
    crowds: &[Crowd<A, R>],
    slots: Slots,
    burst: impl Fn(&A) -> u32,
) -> Vec<u32> {
    let mut granted = vec![0; crowds.len()];
    for kind in JobKind::ALL {
        let ours: Vec<usize> = (0..crowds.len()).filter(|n| crowds[*n].kind == *kind).collect();
        while let Some(next) = next(crowds, &ours, &granted, *kind, slots, &burst) {
            granted[next] += 1;
        }
    }
    granted
}

/// Whether jobs of a kind that were announced and not claimed are announced again when it is time: as long as
/// somebody has a slot free. Otherwise their messages lie in the queue and nobody looks.
pub fn again<A, R>(crowds: &[Crowd<A, R>], kind: JobKind, slots: Slots) -> bool {
    let claimed: u32 = crowds.iter().filter(|it| it.kind == kind).map(|it| it.claimed).sum();
    claimed < of_kind(slots, kind)
}

fn of_kind(slots: Slots, kind: JobKind) -> u32 {
    match kind {
        JobKind::Read => slots.read,
        JobKind::Upload => slots.upload,
        JobKind::Confirm => slots.confirm,
        JobKind::Look => slots.look,
    }
}

fn next<A: Eq, R>(
    crowds: &[Crowd<A, R>],
    ours: &[usize],
    granted: &[u32],
    kind: JobKind,
    slots: Slots,
    burst: &impl Fn(&A) -> u32,
) -> Option<usize> {
    let in_hand = |n: usize| crowds[n].claimed + crowds[n].announced + granted[n];
    let total: u32 = ours.iter().map(|n| in_hand(*n)).sum();
    let most = match kind {
        JobKind::Read => slots.read,
        JobKind::Upload => 2 * slots.upload,
        JobKind::Look => 2 * slots.look,
        JobKind::Confirm if slots.confirm > 0 => u32::MAX,
        JobKind::Confirm => 0,
    };
    if total >= most {
        return None;
    }
    let of_account = |n: usize| -> u32 {
        let same = ours.iter().filter(|other| crowds[**other].account == crowds[n].account);
        same.map(|other| in_hand(*other)).sum()
    };
    let alone = ours.iter().all(|n| crowds[*n].account == crowds[ours[0]].account);
    let may = |n: usize| {
        if kind != JobKind::Upload {
            return true;
        }
        let share = if alone { u32::MAX } else { (slots.upload / 2).max(1) };
        of_account(n) < share.min(burst(&crowds[n].account) + 2)
    };
    let waiting = ours.iter().copied().filter(|n| granted[*n] < crowds[*n].fresh && may(*n));
    waiting.min_by_key(|n| (of_account(*n), in_hand(*n)))
}

#[cfg(test)]
mod tests {
    use super::{Crowd, again, turns};
    use crate::work::{JobKind, Slots};

    fn uploads(account: char, run: u32, in_hand: u32, fresh: u32) -> Crowd<char, u32> {
        let kind = JobKind::Upload;
        Crowd { kind, account, run, claimed: in_hand, announced: 0, fresh }
    }

    const TEN: Slots = Slots { read: 1, upload: 10, confirm: 1, look: 1 };

    #[test]
    fn an_account_alone_gets_what_its_lane_can_use() {
        assert_eq!(turns(&[uploads('a', 1, 0, 99)], TEN, |_| 10), [12]);
        assert_eq!(turns(&[uploads('a', 1, 11, 99)], TEN, |_| 10), [1]);
        assert_eq!(turns(&[uploads('a', 1, 0, 99)], TEN, |_| 5), [7]);
        assert_eq!(turns(&[uploads('a', 1, 0, 3)], TEN, |_| 10), [3]);
    }

    #[test]
    fn announced_jobs_count_as_in_hand_beside_those_that_are_claimed() {
        let crowd = Crowd { announced: 4, ..uploads('a', 1, 4, 99) };
        assert_eq!(turns(&[crowd], TEN, |_| 10), [4]);
    }

    #[test]
    fn two_accounts_get_half_of_the_slots_each() {
        let crowds = [uploads('a', 1, 0, 99), uploads('b', 2, 0, 99)];
        assert_eq!(turns(&crowds, TEN, |_| 10), [5, 5]);
        let crowds = [uploads('a', 1, 12, 99), uploads('b', 2, 0, 99)];
        assert_eq!(turns(&crowds, TEN, |_| 10), [0, 5]);
    }

    #[test]
    fn with_one_slot_each_account_still_has_a_turn() {
        let one = Slots { upload: 1, ..TEN };
        let crowds = [uploads('a', 1, 0, 9), uploads('b', 2, 0, 9), uploads('c', 3, 0, 9)];
        assert_eq!(turns(&crowds, one, |_| 10).iter().sum::<u32>(), 2);
        let crowds = [uploads('a', 1, 1, 9), uploads('b', 2, 0, 9)];
        assert_eq!(turns(&crowds, one, |_| 10), [0, 1]);
    }

    #[test]
    fn run_that_has_less_in_hand_comes_first() {
        let crowds = [uploads('a', 1, 8, 99), uploads('a', 2, 0, 99)];
        assert_eq!(turns(&crowds, TEN, |_| 10), [0, 4]);
        let crowds = [uploads('a', 1, 0, 99), uploads('a', 2, 0, 99)];
        assert_eq!(turns(&crowds, TEN, |_| 10), [6, 6]);
    }

    #[test]
    fn reading_takes_a_slot_each_and_accounts_take_turns() {
        let read = |account, run| Crowd { kind: JobKind::Read, ..uploads(account, run, 0, 1) };
        let crowds = [read('a', 1), read('a', 2), read('a', 3), read('b', 4)];
        let slots = Slots { read: 2, ..TEN };
        assert_eq!(turns(&crowds, slots, |_| 10), [1, 0, 0, 1]);
    }

    #[test]
    fn looks_are_announced_up_to_twice_the_slots_so_that_none_is_idle() {
        let looks = |fresh| Crowd { kind: JobKind::Look, ..uploads('a', 1, 0, fresh) };
        let slots = Slots { look: 3, ..TEN };
        assert_eq!(turns(&[looks(99)], slots, |_| 10), [6]);
        assert_eq!(turns(&[looks(99)], Slots { look: 0, ..TEN }, |_| 10), [0]);
    }

    #[test]
    fn nothing_is_announced_to_nobody() {
        let mut crowds = [uploads('a', 1, 0, 9), uploads('a', 0, 0, 1)];
        crowds[1].kind = JobKind::Confirm;
        assert_eq!(turns(&crowds, Slots::default(), |_| 10), [0, 0]);
        assert_eq!(turns(&crowds, TEN, |_| 10), [9, 1]);
    }

    #[test]
    fn what_was_announced_is_announced_again_for_a_free_slot_only() {
        let crowds = [uploads('a', 1, 4, 0), uploads('b', 2, 6, 0)];
        assert!(!again(&crowds, JobKind::Upload, TEN));
        assert!(again(&crowds, JobKind::Upload, Slots { upload: 11, ..TEN }));
        assert!(again(&crowds, JobKind::Read, TEN));
    }
}
