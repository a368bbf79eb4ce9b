# What made this folder, in order. DIR is CamVid at 480x360 in SegNet's layout (train.txt, val.txt, test.txt).
set -e
DIR=${1:?give the folder of CamVid at 480x360}
OUT=results/reference/camvid360

# Weights: from scratch, on the 367 stills of the train split alone. Each file holds its own record of this.
train() { python bench.py train "$@" -d camvid --data-root "$DIR"; }
train 'pspnet[width=0.5]' --epochs 40 --out weights/pspnet-w0.5-camvid.safetensors
train 'pspnet[scale=0.5,width=0.5]' --init weights/pspnet-w0.5-camvid.safetensors --lr 0.0007 --epochs 18 \
    --out weights/pspnet-s0.5-w0.5-camvid.safetensors
train 'pspnet[width=0.5]' --init weights/pspnet-w0.5-camvid.safetensors --lr 0.0006 --epochs 8 --seed 1 \
    --out weights/pspnet-w0.5-camvid.safetensors
train 'pspnet[scale=0.5,width=0.5]' --init weights/pspnet-s0.5-w0.5-camvid.safetensors --lr 0.0003 --epochs 2 --seed 1 \
    --out weights/pspnet-s0.5-w0.5-camvid.safetensors
train 'arseg[scale=0.5,width=0.5]' --init weights/pspnet-w0.5-camvid.safetensors \
    --init weights/pspnet-s0.5-w0.5-camvid.safetensors --lr 0.0005 --epochs 10 --part-size 9 \
    --out weights/arseg-s0.5-w0.5-camvid.safetensors
train 'bisenet[width=0.5]' --epochs 20 --out weights/bisenet-w0.5-camvid.safetensors

# The measurement: the 101 frames of the val clip under H.264, GOP 12.
python bench.py run -d camvid --data-root "$DIR" -c 'h264[bitrate=1M]' -c 'h264[bitrate=300k]' --gop 12 \
    -m 'pspnet[width=0.5]' -m 'pspnet[scale=0.5,width=0.5]' -m 'arseg[scale=0.5,width=0.5]' -m 'bisenet[width=0.5]' \
    -m 'copy[width=0.5]' -m 'warp[width=0.5]' --runs $OUT/runs
for format in md csv json; do python bench.py table --runs $OUT/runs --strict --format $format --per-class > $OUT/table.$format; done
python bench.py plot distance --runs $OUT/runs --strict -o $OUT/distance.png
python bench.py plot pareto --runs $OUT/runs --strict -o $OUT/pareto.png
