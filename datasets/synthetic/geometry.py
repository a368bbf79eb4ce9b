"""Planes and cameras. The world is in metres, x to the right, y up, z down the street; pixel
centres are integers.

Everything drawn is a rectangle of a plane. A camera maps a plane's own coordinates (u, v, 1) to
pixels by a 3x3 matrix, the *projection*, whose third row gives the depth; the inverse maps pixels
to the plane. So the motion of every visible point between any two frames is exact: pixel of frame i
-> point of the plane -> pixel of frame j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

#: focal length and height of the principal point, in image heights
FOCAL = 1.18
HORIZON = 0.47
#: what is nearer than this, in metres, is not drawn
NEAR = 0.4


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it looks: position (3,) in metres; yaw (right), pitch (down),
    roll (clockwise) in radians."""

    position: Matrix
    yaw: float
    pitch: float
    roll: float

    def rotation(self) -> Matrix:
        """Return the rotation from world to camera, float64 (3, 3).

        The camera's axes are x right, y down, z forward.
        """
        sine_yaw, cosine_yaw = np.sin(self.yaw), np.cos(self.yaw)
        sine_pitch, cosine_pitch = np.sin(self.pitch), np.cos(self.pitch)
        forward = np.array([sine_yaw * cosine_pitch, -sine_pitch, cosine_yaw * cosine_pitch])
        level = np.array([cosine_yaw, 0.0, -sine_yaw])
        down = np.cross(level, forward)
        sine, cosine = np.sin(self.roll), np.cos(self.roll)
        return np.stack([cosine * level + sine * down, cosine * down - sine * level, forward])


def intrinsics(height: int, width: int) -> Matrix:
    """Return camera coordinates to pixels, float64 (3, 3): square pixels, field of view fixed by
    the height."""
    focal = FOCAL * height
    return np.array(
        [[focal, 0.0, (width - 1) / 2], [0.0, focal, HORIZON * height - 0.5], [0.0, 0.0, 1.0]]
    )


def clip_near(corners: Matrix, projection: Matrix) -> Matrix:
    """Return the part of a polygon that lies in front of the camera.

    ``corners`` is float64 (N, 2) in plane coordinates; returns float64 (M, 2), M = 0 where all of
    it lies behind.
    """
    depth = corners @ projection[2, :2] + projection[2, 2] - NEAR
    if (depth >= 0).all():
        return corners
    kept: list[Matrix] = []
    for index in range(len(corners)):
        before, after = depth[index - 1], depth[index]
        if (before < 0) != (after < 0):
            kept.append(
                corners[index - 1]
                + (corners[index] - corners[index - 1]) * before / (before - after)
            )
        if after >= 0:
            kept.append(corners[index])
    return np.array(kept).reshape(-1, 2)


def project(points: Matrix, projection: Matrix) -> Matrix:
    """Return pixels (x, y) of plane points, float64 (N, 2) -> (N, 2); the points must lie in front
    of the camera."""
    homogeneous = points @ projection[:, :2].T + projection[:, 2]
    return homogeneous[:, :2] / homogeneous[:, 2:]
