"""Rule 3: templates and tables."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.lists.wikitext import reference
from tallyclip.lists.wikitext.signs import BRACE, BRACE_END, GAP, PIPE, THREE, TWO, copier, copy, end_text, is_fresh, put, run_end

MOST = u64(reference.OPEN_BRACES)
PLACE, BRACES, FRESH = (u64(column) for column in range(3))  # the columns of the stack; a table has 0 braces

copy_to_brace = copier("{}|")


@compiled
def without_templates(
    source: UInt8[np.ndarray, " B"], size: np.uint64, stack: UInt64[np.ndarray, "4096 3"], target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    """Rule 3. Open templates and tables are in the stack, a ring, from ``bottom`` to ``top``; ``tables`` of them are tables."""
    i = o = known = bottom = top = tables = ZERO
    fresh = True
    while True:
        i, o = copy_to_brace(source, i, target, o)
        if i >= size:
            return end_text(target, o)
        sign = u64(source[i])
        if sign == PIPE and u64(source[i + ONE]) != BRACE_END:
            o = put(target, o, PIPE)
            i += ONE
            continue
        if sign != BRACE_END:
            fresh = is_fresh(target, known, o, fresh, True)
            known = o
        if sign == BRACE:
            end = run_end(source, i, BRACE)
            count = end - i
            is_table = count == ONE and u64(source[end]) == PIPE
            if count > ONE or (is_table and fresh):
                if top - bottom == MOST:
                    tables -= u64(stack[bottom % MOST, BRACES] == ZERO)
                    bottom += ONE
                last = top % MOST
                stack[last, PLACE], stack[last, BRACES], stack[last, FRESH] = o, ZERO if is_table else count, u64(fresh)
                tables += u64(is_table)
                top += ONE
            if is_table:
                end += ONE
            o = copy(source, i, end, target, o)
            i = end
            continue
        run = i + u64(sign == PIPE)
        i = run_end(source, run, BRACE_END)
        count = i - run
        if sign == PIPE:
            if fresh and count & ONE and tables > ZERO:
                while stack[(top - ONE) % MOST, BRACES] > ZERO:
                    top -= ONE
                top -= ONE
                tables -= ONE
                known, fresh = stack[top % MOST, PLACE], stack[top % MOST, FRESH] > ZERO
                o = put(target, known, GAP)
                count -= ONE
            else:
                o = put(target, o, PIPE)
        while count > ONE and top - bottom > tables:
            while stack[(top - ONE) % MOST, BRACES] == ZERO:
                top -= ONE
                tables -= ONE
            last = (top - ONE) % MOST
            left = stack[last, BRACES]
            closed = THREE if left > TWO and count > TWO else TWO
            left -= closed
            count -= closed
            stack[last, BRACES] = left
            known, fresh = stack[last, PLACE] + left, left == ZERO and stack[last, FRESH] > ZERO
            o = put(target, known, GAP)
            if left < TWO:
                top -= ONE
        for _ in range(count):
            o = put(target, o, BRACE_END)
