# What made this folder, in order. DIR is CamVid at 480x360 in SegNet's layout (train.txt, val.txt, test.txt).
set -e
DIR=${1:?give the folder of CamVid at 480x360}
OUT=results/reference/codecs

codecs=()
for codec in h264 hevc mpeg4 mpeg2 vp9 av1; do
    for rate in 1M 300k; do codecs+=(-c "$codec[bitrate=$rate]"); done
done
methods=(-m pspnet -m 'arseg[scale=0.5]')
python bench.py run -d camvid --data-root "$DIR" "${methods[@]}" "${codecs[@]}" --runs $OUT/runs

for format in md csv; do
    python bench.py table --by codec --runs $OUT/runs --strict --format $format > $OUT/table.$format
done
python bench.py plot rate --runs $OUT/runs --strict -o $OUT/rate.png
python bench.py plot rate --quality psnr --runs $OUT/runs --strict -o $OUT/psnr.png
