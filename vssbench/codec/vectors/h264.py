"""H.264's motion vectors, where the headers prove which picture each points to."""

from __future__ import annotations

import av

from vssbench.codec.vectors.exported import ExportedVectors
from vssbench.codec.vectors.h264_headers import B, Headers, I, P, Slice
from vssbench.core.errors import MotionUnavailable

_ADVICE = "; encode with refs=1, no B-pyramid and no weighted prediction, or use motion=estimated"


class H264Vectors(ExportedVectors):
    """Exact to 1/4 pixel. Decoders tell the reference list of a vector, not the picture, so that
    every list must hold one picture, and that must be the anchor next to the frame (8.2.4): one
    active reference a list, lists in their initial order, anchors that are all references, B-frames
    that are none and that are coded behind the two anchors they lie between.

    Any other stream is refused by its slice headers, before its vectors are used:
    MotionUnavailable.
    """

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._headers: Headers | None = None
        self._anchor_lsb = 0
        #: from the anchor before to the last in picture order counts; 0 where nothing lies between,
        #: behind an IDR picture
        self._between_anchors = 0

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader."""
        super().prepare(context)
        self._headers = Headers(context.extradata)

    def packet(self, packet: av.Packet) -> None:
        """See VectorReader."""
        assert self._headers is not None
        for header in self._headers.slices(bytes(packet)):
            reason = _ambiguity(header) or self._disorder(header)
            if reason:
                raise MotionUnavailable(
                    f"the H.264 stream {reason}, so that it is unknown where vectors point{_ADVICE}"
                )

    def _disorder(self, header: Slice) -> str:
        """Tell what is wrong with the order of pictures, if anything.

        It follows the anchors by their first slices.
        """
        step = self._count_step(header)
        if header.kind == B:
            between = -self._between_anchors < step < 0
            return (
                ""
                if between
                else "has B-frames that do not lie between the two anchors coded before"
            )
        if not header.first:
            return ""
        self._between_anchors = 0 if header.idr else step
        self._anchor_lsb = header.poc_lsb
        return "" if step > 0 or header.idr else "has anchors that are not coded in display order"

    def _count_step(self, header: Slice) -> int:
        """Return the picture order count relative to the last anchor's (8.2.1)."""
        if header.sps.poc_type:
            # counts of type 2 follow the coded order, in which no B-frame can lie between anchors
            return 0 if header.kind == B else 1
        whole = 1 << header.sps.poc_lsb_bits
        difference = (header.poc_lsb - self._anchor_lsb) % whole
        return difference - whole if difference > whole // 2 else difference


def _ambiguity(header: Slice) -> str:
    """Tell why a slice's vectors do not say which picture they point to, empty where they do."""
    if not header.sps.frames_only:
        return "is interlaced"
    if header.kind not in (P, B, I):
        return "has switching slices (SP or SI)"
    if header.reordered:
        return "reorders its reference lists"
    lists = {P: 1, B: 2}.get(header.kind, 0)
    if any(count > 1 for count in header.active[:lists]):
        return f"uses {max(header.active[:lists])} references a list"
    if header.kind == B and header.reference:
        return "has B-frames that others refer to (a B-pyramid)"
    if header.kind != B and not header.reference:
        return "has I- or P-frames that none refers to"
    if header.kind == B and header.sps.max_num_ref_frames < 2:
        return "keeps one reference and yet has B-frames"
    return "keeps references by command" if header.adaptive else ""
