"""The machine operations that Numba does not offer, written as LLVM code.

They assume a little-endian machine (x86-64, 64-bit Arm); LLVM chooses the vector instructions of the machine at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8, UInt32, UInt64

if TYPE_CHECKING:

    def load_u64(data: UInt8[np.ndarray, " B"], index: np.uint64) -> np.uint64:
        """The eight bytes from ``data[index]`` on as one number, at any alignment; the caller checks the bounds."""
        ...

    def byte_mask(characters: str) -> Callable[[UInt8[np.ndarray, " B"], np.uint64], np.uint64]:
        """A function of bytes and an index: one bit for each of the 64 bytes from there on, set where it is one of the characters."""
        ...

    def mask_from(lowest: int) -> Callable[[UInt8[np.ndarray, " B"], np.uint64], np.uint64]:
        """The same, with the bits set where a byte is at least ``lowest``."""
        ...

    def trailing_zeros(bits: np.uint64) -> np.uint64:
        """The position of the lowest set bit; 64 for 0."""
        ...

    def find_in_bucket(slots: UInt64[np.ndarray, " S"], bucket: np.uint64, tag: np.uint64, low_bits: np.uint64) -> np.uint64:
        """Of the eight slots from ``slots[bucket]`` on, the one that equals ``tag`` in all but its lowest bits, or 0."""
        ...

    def sort_8(
        numbers: UInt32[np.ndarray, " N"], start: np.uint64, count: np.uint64, out: UInt32[np.ndarray, " O"], at: np.uint64
    ) -> np.bool_:
        """Write up to 8 numbers from ``numbers[start]`` on in ascending order, from ``out[at]`` on; returns whether any two are equal.

        Eight numbers must be readable, and eight are written, whatever the count. ``sort_16``, ``sort_32`` and ``sort_64`` sort more.
        """
        ...

    sort_16 = sort_32 = sort_64 = sort_8

    def prefetch(array: UInt64[np.ndarray, " S"] | UInt32[np.ndarray, " S"] | UInt8[np.ndarray, " S"], index: np.uint64) -> None:
        """Ask for the cache line of ``array[index]``; it will be read soon."""
        ...

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))

    def _address(context, builder, array_type, array, index, pointee):
        pointer = context.make_array(array_type)(context, builder, array).data
        return builder.bitcast(builder.gep(pointer, [index]), pointee.as_pointer())

    @intrinsic
    def load_u64(typingctx, data, index):
        def codegen(context, builder, signature, args):
            return builder.load(_address(context, builder, signature.args[0], *args, I64), align=1)

        return types.uint64(data, types.uint64), codegen

    def byte_mask(characters):
        vector = ir.VectorType(I8, 64)

        @intrinsic
        def mask(typingctx, data, index):
            def codegen(context, builder, signature, args):
                block = builder.load(_address(context, builder, signature.args[0], *args, vector), align=1)
                hits = ir.Constant(ir.VectorType(I1, 64), [0] * 64)
                for character in characters.encode():
                    hits = builder.or_(hits, builder.icmp_unsigned("==", block, ir.Constant(vector, [character] * 64)))
                return builder.bitcast(hits, I64)

            return types.uint64(data, types.uint64), codegen

        return mask

    def mask_from(lowest):
        vector = ir.VectorType(I8, 64)

        @intrinsic
        def mask(typingctx, data, index):
            def codegen(context, builder, signature, args):
                block = builder.load(_address(context, builder, signature.args[0], *args, vector), align=1)
                return builder.bitcast(builder.icmp_unsigned(">=", block, ir.Constant(vector, [lowest] * 64)), I64)

            return types.uint64(data, types.uint64), codegen

        return mask

    @intrinsic
    def trailing_zeros(typingctx, bits):
        def codegen(context, builder, signature, args):
            return builder.cttz(args[0], I1(0))

        return types.uint64(types.uint64), codegen

    @intrinsic
    def find_in_bucket(typingctx, slots, bucket, tag, low_bits):
        vector = ir.VectorType(I64, 8)
        zeros = ir.Constant(vector, [0] * 8)

        def repeat(builder, value):
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, value, I32(0))
            return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, 8), [0] * 8))

        def codegen(context, builder, signature, args):
            slots, bucket, tag, low_bits = args
            found = builder.load(_address(context, builder, signature.args[0], slots, bucket, vector), align=8)
            rest = builder.lshr(builder.xor(found, repeat(builder, tag)), repeat(builder, low_bits))
            hit = builder.select(builder.icmp_unsigned("==", rest, zeros), found, zeros)
            reduce_or = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I64, [vector]), "llvm.vector.reduce.or.v8i64")
            return builder.call(reduce_or, [hit])

        return types.uint64(slots, types.uint64, types.uint64, types.uint64), codegen

    @intrinsic
    def prefetch(typingctx, array, index):
        def codegen(context, builder, signature, args):
            pointer = _address(context, builder, signature.args[0], *args, I8)
            kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(call, [pointer, I32(0), I32(3), I32(1)])  # to read, into every cache level, data
            return context.get_dummy_value()

        return types.void(array, types.uint64), codegen

    def _sort(lanes: int):
        vector = ir.VectorType(I32, lanes)
        all_lanes = range(lanes)

        def shuffle(builder, left, right, order):
            return builder.shuffle_vector(left, right, ir.Constant(vector, list(order)))

        @intrinsic
        def sort(typingctx, numbers, start, count, out, at):
            def codegen(context, builder, signature, args):
                numbers, start, count, out, at = args
                values = builder.load(_address(context, builder, signature.args[0], numbers, start, vector), align=4)
                counts = builder.insert_element(ir.Constant(vector, ir.Undefined), builder.trunc(count, I32), I32(0))
                inside = builder.icmp_unsigned("<", ir.Constant(vector, list(all_lanes)), shuffle(builder, counts, counts, [0] * lanes))
                values = builder.select(inside, values, ir.Constant(vector, [0xFFFF_FFFF] * lanes))
                for level in range(1, lanes.bit_length()):  # Batcher's bitonic sort
                    size, stride = 1 << level, 1 << (level - 1)
                    while stride:
                        others = shuffle(builder, values, values, [lane ^ stride for lane in all_lanes])
                        less = builder.icmp_unsigned("<", values, others)
                        low = builder.select(less, values, others)
                        high = builder.select(less, others, values)
                        keeps_low = [(lane & stride == 0) == (lane & size == 0) for lane in all_lanes]
                        values = shuffle(builder, low, high, [lane if keeps_low[lane] else lane + lanes for lane in all_lanes])
                        stride //= 2
                builder.store(values, _address(context, builder, signature.args[3], out, at, vector), align=4)
                before = shuffle(builder, values, ir.Constant(vector, [0xFFFF_FFFF] * lanes), [lanes, *all_lanes[:-1]])
                equal = builder.and_(builder.icmp_unsigned("==", values, before), inside)
                return builder.icmp_unsigned("!=", builder.bitcast(equal, ir.IntType(lanes)), ir.IntType(lanes)(0))

            return types.boolean(numbers, types.uint64, types.uint64, out, types.uint64), codegen

        return sort

    sort_8, sort_16, sort_32, sort_64 = map(_sort, (8, 16, 32, 64))
