echo one two   three
x=5; echo $((x * x + 2)) "$x" '$x'
pwd | sed 's,.*/,,'
mkdir -p a/b/c && ls -R a
seq 1 10 > numbers; wc -l numbers; head -n 3 numbers; tail -n 2 numbers
sort -rn numbers | head -n 2
cat numbers | grep 1 | wc -l
for i in 1 2 3; do echo "line $i" >> lines; done; cat lines
sed -n '2p' lines; sed 's/line/row/' lines | tr a-z A-Z
awk '{ sum += $2 } END { print sum }' lines
cp numbers copy; cmp numbers copy && echo same
echo more >> copy; cmp numbers copy; echo $?
diff numbers copy
mv copy moved; ls
ln -s moved link; readlink link; cat link | tail -n 1
ln moved hard; stat -c '%h %s' moved
rm hard link; stat -c '%h %s' moved
chmod 640 moved; stat -c '%a %F' moved a
echo hidden > .dot; ls -A; ls *
printf '%05d|%-6s|%x\n' 42 ab 255
test -d a && echo dir; test -f a || echo no file
[ 3 -lt 10 ] && echo less
case abc in a*) echo starts ;; esac
f() { echo "f $# $1"; return 3; }; f p q; echo $?
false || echo failed; true && echo worked
(exit 7); echo $?
sh -c 'echo child; exit 4'; echo $?
cat missing 2>&1; echo $?
nosuchprogram 2>&1 | sed 's/.*: //'
echo a b c | cut -d' ' -f2; echo abc | rev
echo hello | md5sum; echo hello | sha256sum
seq 1 2000 > big; wc -c big; md5sum big
gzip -c big | gunzip -c | md5sum
tar cf t.tar a lines; tar tf t.tar; rm -r a; tar xf t.tar; ls -R a
dd if=/dev/zero of=zeros bs=1k count=100 2>/dev/null; wc -c zeros; md5sum zeros
truncate -s 10 zeros; wc -c zeros
find . -name 'l*' | sort
echo "$(echo nested $(echo twice))"
xargs -n 2 echo < lines
yes | head -n 3
cat << END | tac
first
second
END
sleep 0; echo slept
sh -c 'sleep 5 & kill $!; wait $!; echo $?' 2>/dev/null
trap 'echo caught' USR1; kill -USR1 $$; trap - USR1
( echo sub; cd /; pwd )
echo abc > /dev/null; echo $?
head -c 4 /dev/zero | od -An -tx1
basename /usr/bin/env; dirname /usr/bin/env
expr 6 \* 7; expr length hello
date -u -d @0 '+%Y-%m-%d %H:%M:%S'
env -i A=1 env
touch -d '2001-02-03 04:05:06' old; stat -c %Y old
du -a a | wc -l
set -- p q r; shift; echo "$*" $#
while read -r w n; do echo "$n:$w"; done < lines
echo {a,b} [x]* l?nes
i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done
echo out; echo err >&2
exec 3< lines; read -r l <&3; echo "$l"; exec 3<&-
mkfifo p; (echo through > p &); cat p; rm p
vi --help 2>&1 | head -n 1 | cut -c1-7
cal 2 2024 | head -n 2
bc <<END
2 + 3 * 4
END
cd a; cd ..; rmdir a 2>&1; rm -rf a; ls
