#!/bin/sh
# Makes sample.mp4: blue, green and dark red for two seconds each. They differ in brightness, which is what scenes are told by.
cd "$(dirname "$0")" && exec ffmpeg -v error -y \
  -f lavfi -i color=blue:s=160x120:r=10:d=2 -f lavfi -i color=lime:s=160x120:r=10:d=2 -f lavfi -i color=maroon:s=160x120:r=10:d=2 \
  -filter_complex "[0][1][2]concat=n=3" -pix_fmt yuv420p sample.mp4
