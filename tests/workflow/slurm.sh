#!/usr/bin/env bash
# Run a command beside a Slurm of two nodes on this machine: as root, with Debian's packages slurmctld, slurmd, munge.
#   tests/workflow/slurm.sh pytest tests/workflow/test_slurm.py
# Each node has 2 cores and 4 GB, node2 has a GPU, which is /dev/null. A job that uses more memory than it requests is
# killed.
set -euo pipefail

conf=/etc/slurm/slurm.conf # the only place where jobs look for it
if [[ -e $conf ]] && ! grep -q "^ClusterName=greedymm-test$" "$conf"; then
	echo "$conf belongs to another Slurm. Remove it, or run this on another machine." >&2
	exit 1
fi
folder=$(mktemp -d)
pids=()

start() { # name, command: log and process id are kept
	"${@:2}" > "$folder/$1.log" 2>&1 &
	pids+=($!)
}

stop() {
	scancel --user root 2> /dev/null || true
	for _ in {1..40}; do
		[[ -z $(squeue --noheader 2> /dev/null) ]] && break
		sleep 0.5
	done
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill "${pids[i]}" 2> /dev/null && wait "${pids[i]}" 2> /dev/null || true
	done
	rm -rf "$folder" "$conf" "${conf%/*}/gres.conf"
}
trap stop EXIT
trap 'exit 143' INT TERM

host=$(hostname -s)
mkdir -p "${conf%/*}"
ln -s /dev/null "$folder/gpu0"
echo "NodeName=node2 Name=gpu File=$folder/gpu0" > "${conf%/*}/gres.conf"
cat > "$conf" << EOF2
ClusterName=greedymm-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory,CR_LLN
SchedulerParameters=sched_interval=2,bf_interval=2
MinJobAge=300
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=2 RealMemory=4000
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=2 RealMemory=4000 Gres=gpu:1
PartitionName=all Nodes=node[1-2] Default=YES
EOF2
head -c 128 /dev/urandom > "$folder/munge.key"
chmod 400 "$folder/munge.key"
start munged munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
	--pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
start slurmctld slurmctld -D
for node in node1 node2; do
	start "$node" slurmd -D -N "$node"
done
for _ in {1..60}; do
	[[ $(sinfo --noheader --Node --format=%t 2> /dev/null) == $'idle\nidle' ]] && ready=1 && break
	sleep 0.5
done
if [[ -z ${ready-} ]]; then
	echo "Slurm did not start:" >&2
	tail -n 5 "$folder"/*.log >&2
	exit 1
fi
set -m # a process in the background would ignore SIGINT
"$@" &
pids+=($!)
wait "${pids[-1]}" # a signal does not wait for its end
