"""The fastest that the permit rule allows, by running the rule on a clock of its own."""

import heapq

BURST, BURST_WINDOW_S = 10, 1.0
STEADY, STEADY_WINDOW_S = 150, 60.0


def span_s(requests: int, answer_s: float = 0.0) -> float:
    """From the first to the last of `requests`, each answered `answer_s` after it was sent.

    A request holds one of 10 places until 1 s after its answer, and one of 150 until 60 s after.
    """
    held = {BURST_WINDOW_S: (BURST, []), STEADY_WINDOW_S: (STEADY, [])}
    now = 0.0
    for _ in range(requests):
        for window_s, (places, until) in held.items():
            if len(until) == places:
                now = max(now, heapq.heappop(until))
        for window_s, (_, until) in held.items():
            heapq.heappush(until, now + answer_s + window_s)
    return now
