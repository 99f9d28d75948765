#!/bin/sh
# svg/html -> png
timeout 60 chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir=/tmp/w/net-scratch/prof --screenshot=$2 --window-size=$3 file://$1 >/dev/null 2>&1
