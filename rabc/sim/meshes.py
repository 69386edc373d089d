"""Coarser visual meshes: rendering the SO-101 is bound by triangles, not by pixels.

The compiled model draws about 400,000 triangles a frame. Cutting each visual mesh to some
hundred faces makes a small frame about ten times cheaper and looks the same at that size.
Only meshes that no colliding geom uses are touched, so the physics stays as it was.
"""

from functools import lru_cache
from typing import Any

import fast_simplification
import mujoco
import numpy as np
from numpy.typing import NDArray

Vertices = NDArray[np.float32]
Faces = NDArray[np.int32]

TARGET_FACES = 1000
# The simplifier stalls on non-manifold parts; beyond this excess vertices are clustered instead.
STALLED = 1.3
FIRST_CELL_M = 0.001
CELL_GROWTH = 1.15


def simplify_visual_meshes(model: Any, target_faces: int = TARGET_FACES) -> tuple[int, int]:
    """Simplify the visual meshes of a compiled `mujoco.MjModel` in place, before any renderer exists.

    Returns the number of triangles drawn before and after.
    """
    mesh_type = mujoco.mjtGeom.mjGEOM_MESH  # pyright: ignore[reportAttributeAccessIssue]
    before = after = 0
    for mesh in range(model.nmesh):
        users = [
            geom
            for geom in range(model.ngeom)
            if model.geom_type[geom] == mesh_type and model.geom_dataid[geom] == mesh
        ]
        if not users or any(model.geom_contype[g] or model.geom_conaffinity[g] for g in users):
            continue
        count = int(model.mesh_facenum[mesh])
        before += count * len(users)
        if count > target_faces:
            first_vertex, first_face = int(model.mesh_vertadr[mesh]), int(model.mesh_faceadr[mesh])
            vertices = model.mesh_vert[first_vertex : first_vertex + model.mesh_vertnum[mesh]]
            faces = model.mesh_face[first_face : first_face + count]
            _store(model, mesh, *_simplified(vertices.tobytes(), faces.tobytes(), target_faces))
        after += int(model.mesh_facenum[mesh]) * len(users)
    return before, after


@lru_cache(maxsize=64)
def _simplified(vertices: bytes, faces: bytes, target: int) -> tuple[Vertices, Faces]:
    """Once for each mesh: it takes most of the time of opening a simulator, and the meshes never change."""
    return _simplify(
        np.frombuffer(vertices, np.float32).reshape(-1, 3),
        np.frombuffer(faces, np.int32).reshape(-1, 3),
        target,
    )


def _simplify(vertices: Vertices, faces: Faces, target: int) -> tuple[Vertices, Faces]:
    # Compiled meshes repeat vertices along edges; edges collapse only once these are merged.
    merged, inverse = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    merged_faces = _without_degenerate(inverse.reshape(-1)[faces].astype(np.int32))
    simplify: Any = fast_simplification.simplify
    points, triangles = simplify(merged.astype(np.float32), merged_faces, target_count=target, agg=7)
    cell = FIRST_CELL_M
    while len(triangles) > STALLED * target:
        points, triangles = _cluster(merged, merged_faces, cell)
        cell *= CELL_GROWTH
    return points.astype(np.float32), triangles.astype(np.int32)


def _cluster(vertices: Vertices, faces: Faces, cell: float) -> tuple[Vertices, Faces]:
    """Merge all vertices within one grid cell of `cell` metres into their mean."""
    _, inverse = np.unique(np.round(vertices / cell).astype(int), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    points = np.zeros((inverse.max() + 1, 3))
    np.add.at(points, inverse, vertices)
    points /= np.bincount(inverse)[:, None]
    triangles = _without_degenerate(inverse[faces].astype(np.int32))
    _, first = np.unique(np.sort(triangles, 1), axis=0, return_index=True)
    return points.astype(np.float32), triangles[np.sort(first)]


def _without_degenerate(faces: Faces) -> Faces:
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (a != c)]


def _store(model: Any, mesh: int, vertices: Vertices, faces: Faces) -> None:
    """Write the smaller mesh over the first slots of the old one."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if len(faces) <= model.mesh_normalnum[mesh]:  # flat shading: one normal a face
        normal_index = np.repeat(np.arange(len(faces))[:, None], 3, 1)
    else:  # too few slots for that: one normal a vertex, faces weighted by their area
        per_vertex = np.zeros_like(vertices)
        for corner in range(3):
            np.add.at(per_vertex, faces[:, corner], normals)
        normals, normal_index = per_vertex, faces
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    for array, address, number, values in (
        (model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum, vertices),
        (model.mesh_normal, model.mesh_normaladr, model.mesh_normalnum, normals),
    ):
        if len(values) > number[mesh]:
            raise ValueError(f"mesh {mesh}: {len(values)} values do not fit into {number[mesh]} slots")
        array[address[mesh] : address[mesh] + len(values)] = values
        number[mesh] = len(values)
    first_face = model.mesh_faceadr[mesh]
    model.mesh_face[first_face : first_face + len(faces)] = faces
    model.mesh_facenormal[first_face : first_face + len(faces)] = normal_index
    model.mesh_facenum[mesh] = len(faces)
