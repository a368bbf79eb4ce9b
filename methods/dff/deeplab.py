"""DeepLab with large field of view, as DFF uses it: ResNet at output stride 16 and one dilated
convolution (DFF, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.losses import cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import ResNet, initialise_convolutions


class DeepLab(SegmentationNetwork):
    """N_feat is :meth:`features`, N_task is :meth:`classify`.

    The stride of conv5 is removed and its 3x3 convolutions are dilated by 2; a 3x3 convolution of
    dilation 6 and a ReLU reduce its feature to 1024 channels at stride 16; one 1x1 convolution
    gives the score maps. The paper has one map more than there are classes, for the background;
    here unlabelled pixels are ignored in training and there is none.

    Strides stand in a bottleneck's 3x3 convolution, as in torchvision's ImageNet weights. In the
    paper's they stand in the first 1x1 (He et al.'s Caffe models), which costs 1.1 % less at
    ResNet-101 and 1.5 % at ResNet-50.
    """

    auxiliary = ()

    def __init__(self, classes: int, layers: int = 101, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = ResNet(
            layers, width, strides=(1, 2, 2, 1), dilations=((1,), (1,), (1,), (2,))
        )
        self.feature_channels = scaled_channels(1024, width)
        self.reduce = nn.Conv2d(
            self.backbone.channels[-1], self.feature_channels, 3, padding=6, dilation=6
        )
        self.relu = nn.ReLU(inplace=True)
        self.final = nn.Conv2d(self.feature_channels, classes, 1)
        initialise_convolutions(self)

    def features(self, image: Tensor) -> tuple[Tensor, None]:
        """Turn a normalised image (N, 3, H, W) into (N, 1024, H/16, W/16), sides rounded up; no
        auxiliary losses."""
        *_, last = self.backbone(image)
        return self.relu(self.reduce(last)), None

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Score maps, enlarged bilinearly as by the fixed deconvolution of the published
        segmentation codes of DFF."""
        return resize(self.final(feature), size, align_corners=False)

    def auxiliary_loss(self, extra: None, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Return no terms: DeepLab is trained by its own output alone."""
        return {}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)
