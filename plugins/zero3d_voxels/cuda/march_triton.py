"""The fused ray march for CUDA, in Triton: one lane a ray. TRITON_INTERPRET=1 runs it on a CPU, for tests.

Rays of a program advance together, sample by sample; a lane that is done, or in an empty block, reads nothing. The
backward pass marches forwards again: with v the gradient that falls on a sample's weight w, T the light left after it
and x its optical depth, dL/dx_j = T_j v_j - (sum of all w v - sum of those up to j), and the sum of all is known from
what the forward pass returned. Corners add to the gradient atomically, so that its last bits vary from run to run, as
those of torch's own scatters on CUDA do. Triton's compiler, unlike its interpreter, takes no annotation but its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _axis(origin, direction, t, low, voxels, n):  # type: ignore[no-untyped-def]
    """The voxels below and above a place, counted with the shell, weights (0 in the shell), and whether it is inside."""
    place = ((origin + direction * t) - low) * voxels + 0.5
    shifted = tl.minimum(tl.maximum(place, 0.0), n + 1.0)
    below = tl.minimum(tl.floor(shifted), n * 1.0)
    part = shifted - below
    index = below.to(tl.int32)
    inside = tl.maximum(0.5 - place, place - 0.5 - n) <= 1e-4
    return index, tl.where(index > 0, 1.0 - part, 0.0), tl.where(index < n, part, 0.0), inside


@triton.jit
def _sample(origins, directions, near, shift, ray, alive, number, size, low, voxels, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Distance and, along each axis, place and weights of one sample of each ray."""
    t = near + (number * size + shift)
    x, x0, x1, in_x = _axis(
        tl.load(origins + 3 * ray, mask=alive, other=0.0),
        tl.load(directions + 3 * ray, mask=alive, other=0.0),
        t,
        tl.load(low),
        tl.load(voxels),
        nx,
    )
    y, y0, y1, in_y = _axis(
        tl.load(origins + 3 * ray + 1, mask=alive, other=0.0),
        tl.load(directions + 3 * ray + 1, mask=alive, other=0.0),
        t,
        tl.load(low + 1),
        tl.load(voxels + 1),
        ny,
    )
    z, z0, z1, in_z = _axis(
        tl.load(origins + 3 * ray + 2, mask=alive, other=0.0),
        tl.load(directions + 3 * ray + 2, mask=alive, other=0.0),
        t,
        tl.load(low + 2),
        tl.load(voxels + 2),
        nz,
    )
    return t, x, x0, x1, y, y0, y1, z, z0, z1, in_x & in_y & in_z


@triton.jit
def _corner(corner: tl.constexpr, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny):  # type: ignore[no-untyped-def]
    """Flat index and weight of a corner, 0 to 7, x fastest; what lies in the shell has weight 0 and must not be read."""
    i = x - 1 + corner % 2
    j = y - 1 + (corner // 2) % 2
    k = z - 1 + corner // 4
    weight = (x1 if corner % 2 else x0) * (y1 if (corner // 2) % 2 else y0) * (z1 if corner // 4 else z0)
    return (k.to(tl.int64) * ny + j) * nx + i, weight


@triton.jit
def _absorb(density, scale, density_shift, thickness, active, x, x0, x1, y, y0, y1, z, z0, z1, inside, nx, ny):  # type: ignore[no-untyped-def]
    """Optical depth of one sample a ray, its derivative in the softplus's argument, and the argument less the shift."""
    raw = tl.zeros_like(x0)
    for corner in tl.static_range(8):
        index, weight = _corner(corner, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
        raw += weight * tl.load(density + index, mask=active & (weight > 0), other=0.0)
    argument = scale * raw
    a = argument + density_shift
    e = tl.exp(-tl.abs(a))
    # log(1 + e) as 2 artanh: precise for small e, where log alone is not
    s = e / (2.0 + e)
    q = s * s
    log1p = (
        2.0
        * s
        * (1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15))))))))
    )
    live = active & inside
    depth = tl.where(live, (tl.maximum(a, 0.0) + log1p) * thickness, 0.0)
    slope = tl.where(live, tl.where(a > 0, 1.0, e) / (1.0 + e) * thickness, 0.0)
    return depth, slope, argument


@triton.jit
def _features(features, seen, channel, C: tl.constexpr, SIGMOID: tl.constexpr, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny):  # type: ignore[no-untyped-def]
    """(rays, channels) of a grid with its channels last."""
    mask = seen[:, None] & (channel < C)[None, :]
    value = tl.zeros_like(x0)[:, None] + tl.zeros_like(channel)[None, :].to(tl.float32)
    for corner in tl.static_range(8):
        index, weight = _corner(corner, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
        read = tl.load(features + index[:, None] * C + channel[None, :], mask=mask & (weight > 0)[:, None], other=0.0)
        value += weight[:, None] * read
    if SIGMOID:
        value = 1.0 / (1.0 + tl.exp(-value))
    return value


@triton.jit
def forward(  # type: ignore[no-untyped-def]
    density, features, origins, directions, spans, starts, counts, low, voxels, filled, scale, density_shift, thickness,
    size, threshold, least, rays, samples, nx, ny, nz, by, bx, colour, opacity, distance, weights,
    C: tl.constexpr, CHANNELS: tl.constexpr, SIGMOID: tl.constexpr, WEIGHTS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Colour (R, C), opacity, distance (R,) and, if WEIGHTS, weights (R, S)."""
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    channel = tl.arange(0, CHANNELS)
    exists = ray < rays
    near = tl.load(spans + 2 * ray, mask=exists, other=0.0)
    shift = tl.load(starts + ray, mask=exists, other=0.0)
    count = tl.load(counts + ray, mask=exists, other=0)
    gain = tl.load(scale)
    tau, left = tl.zeros_like(near), tl.zeros_like(near) + 1.0
    total, far = tl.zeros_like(near), tl.zeros_like(near)
    sums = near[:, None] * 0 + channel[None, :] * 0.0
    number = 0
    alive = count > 0
    while tl.sum(alive.to(tl.int32)) > 0:
        t, x, x0, x1, y, y0, y1, z, z0, z1, inside = _sample(
            origins, directions, near, shift, ray, alive, number, size, low, voxels, nx, ny, nz
        )
        active = alive & (tl.load(filled + ((z // 4) * by + y // 4) * bx + x // 4, mask=alive, other=0) != 0)
        if tl.sum(active.to(tl.int32)) > 0:
            depth, _, _ = _absorb(
                density, gain, density_shift, thickness, active, x, x0, x1, y, y0, y1, z, z0, z1, inside, nx, ny
            )
            tau += depth
            after = tl.exp(-tau)
            weight = left - after
            left = after
            total += weight
            far += weight * t
            if WEIGHTS:
                tl.store(weights + ray.to(tl.int64) * samples + number, weight, mask=active)
            seen = active & (weight > threshold)
            if tl.sum(seen.to(tl.int32)) > 0:
                value = _features(features, seen, channel, C, SIGMOID, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
                sums += tl.where(seen, weight, 0.0)[:, None] * value
        number += 1
        alive = (number < count) & (left > least)
    tl.store(opacity + ray, total, mask=exists)
    tl.store(distance + ray, far, mask=exists)
    tl.store(colour + ray[:, None] * C + channel[None, :], sums, mask=exists[:, None] & (channel < C)[None, :])


@triton.jit
def backward(  # type: ignore[no-untyped-def]
    density, features, origins, directions, spans, starts, counts, low, voxels, filled, scale, density_shift, thickness,
    size, threshold, least, rays, samples, nx, ny, nz, by, bx, grad_colour, grad_opacity, grad_distance, grad_weights, sums,
    to_density, to_features, to_scale,
    C: tl.constexpr, CHANNELS: tl.constexpr, SIGMOID: tl.constexpr, WEIGHTS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Gradients of the grids (features channels last) and, a ray, of log_scale; `sums`: each ray's sum of all w v."""
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    channel = tl.arange(0, CHANNELS)
    exists = ray < rays
    both = exists[:, None] & (channel < C)[None, :]
    near = tl.load(spans + 2 * ray, mask=exists, other=0.0)
    shift = tl.load(starts + ray, mask=exists, other=0.0)
    count = tl.load(counts + ray, mask=exists, other=0)
    gain = tl.load(scale)
    on_colour = tl.load(grad_colour + ray[:, None] * C + channel[None, :], mask=both, other=0.0)
    on_opacity = tl.load(grad_opacity + ray, mask=exists, other=0.0)
    on_distance = tl.load(grad_distance + ray, mask=exists, other=0.0)
    behind = tl.load(sums + ray, mask=exists, other=0.0)
    tau, left, on_scale = tl.zeros_like(near), tl.zeros_like(near) + 1.0, tl.zeros_like(near)
    number = 0
    alive = count > 0
    while tl.sum(alive.to(tl.int32)) > 0:
        t, x, x0, x1, y, y0, y1, z, z0, z1, inside = _sample(
            origins, directions, near, shift, ray, alive, number, size, low, voxels, nx, ny, nz
        )
        active = alive & (tl.load(filled + ((z // 4) * by + y // 4) * bx + x // 4, mask=alive, other=0) != 0)
        if tl.sum(active.to(tl.int32)) > 0:
            depth, slope, argument = _absorb(
                density, gain, density_shift, thickness, active, x, x0, x1, y, y0, y1, z, z0, z1, inside, nx, ny
            )
            tau += depth
            after = tl.exp(-tau)
            weight = left - after
            left = after
            grad = on_opacity + on_distance * t
            if WEIGHTS:
                grad += tl.load(grad_weights + ray.to(tl.int64) * samples + number, mask=active, other=0.0)
            seen = active & (weight > threshold)
            if tl.sum(seen.to(tl.int32)) > 0:
                value = _features(features, seen, channel, C, SIGMOID, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
                grad += tl.where(seen, tl.sum(on_colour * value, axis=1), 0.0)
                share = weight[:, None] * on_colour
                if SIGMOID:
                    share *= value * (1.0 - value)
                for corner in tl.static_range(8):
                    index, part = _corner(corner, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
                    mask = both & (seen & (part > 0))[:, None]
                    tl.atomic_add(to_features + index[:, None] * C + channel[None, :], part[:, None] * share, mask=mask)
            behind -= tl.where(active, weight * grad, 0.0)
            falls = (left * grad - behind) * slope
            on_scale += falls * argument
            for corner in tl.static_range(8):
                index, part = _corner(corner, x, x0, x1, y, y0, y1, z, z0, z1, nx, ny)
                tl.atomic_add(to_density + index, part * falls * gain, mask=active & (part > 0))
        number += 1
        alive = (number < count) & (left > least)
    tl.store(to_scale + ray, on_scale, mask=exists)
