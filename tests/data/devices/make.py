#!/usr/bin/env python3
"""Writes the trees of /proc and /sys that the tests of `siskin device` read, one folder per machine.

    python3 tests/data/devices/make.py

They are made from the documented formats, not copied from machines: proc_cpuinfo(5), proc_meminfo(5), proc_swaps(5),
cgroups(7), the kernel's Documentation/ABI/testing/sysfs-devices-system-cpu, sysfs-class-thermal and cgroup-v1/v2, the
device trees bcm2711, bcm2712 and rk3588 in the kernel, and Raspberry Pi's page on `vcgencmd get_throttled`.
"""
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPU = "sys/devices/system/cpu"
A72 = "fp asimd evtstrm crc32 cpuid"
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
V3 = ("fpu sse sse2 ht syscall nx lm pni pclmulqdq ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand "
      "abm bmi1 avx2 bmi2")


def arm_cpuinfo(parts, features):
    block = ("processor\t: {id}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
             "CPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: {part:#x}\nCPU revision\t: 1\n\n")
    return "".join(block.format(id=i, features=features, part=part) for i, part in enumerate(parts))


def x86_cpuinfo(name, count, flags):
    block = "processor\t: {id}\nvendor_id\t: GenuineIntel\nmodel name\t: {name}\nflags\t\t: {flags}\n\n"
    return "".join(block.format(id=i, name=name, flags=flags) for i in range(count))


def meminfo(total, available, swap=0):
    fields = {"MemTotal": total, "MemFree": available // 2, "MemAvailable": available, "Cached": available // 3,
              "SwapTotal": swap, "SwapFree": swap}
    return "".join(f"{name + ':':<16}{kib:>8} kB\n" for name, kib in fields.items())


def cpus(count, capacities=None, khz=None, siblings=None, governor="ondemand"):
    files = {f"{CPU}/online": f"0-{count - 1}\n"}
    for i in range(count):
        if capacities:
            files[f"{CPU}/cpu{i}/cpu_capacity"] = f"{capacities[i]}\n"
        if khz:
            files[f"{CPU}/cpu{i}/cpufreq/cpuinfo_max_freq"] = f"{khz[i]}\n"
            files[f"{CPU}/cpu{i}/cpufreq/scaling_governor"] = governor + "\n"
        files[f"{CPU}/cpu{i}/topology/thread_siblings_list"] = f"{siblings[i] if siblings else i}\n"
    return files


def status(allowed):
    return {"proc/self/status": f"Name:\tsiskin\nCpus_allowed:\tf\nCpus_allowed_list:\t{allowed}\n"}


def cgroup2(path, mount_root="/"):
    return {"proc/self/cgroup": f"0::{path}\n",
            "proc/self/mountinfo": "24 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n"
                                   f"33 24 0:28 {mount_root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"}


def zone(number, kind, millis):
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {f"{folder}/type": kind + "\n", f"{folder}/temp": f"{millis}\n"}


def tree(model, *compatible):
    strings = "".join(name + "\0" for name in compatible)
    return {"proc/device-tree/model": model + "\0", "proc/device-tree/compatible": strings}


SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

MACHINES = {
    "raspberry-pi-5": {
        "proc/cpuinfo": arm_cpuinfo([0xd0b] * 4, A76) + "Revision\t: b04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
        "proc/meminfo": meminfo(2065792, 1655296, 524272),
        "proc/swaps": SWAPS + "/dev/zram0                              partition\t524272\t\t0\t\t100\n",
        **tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
        **cpus(4, khz=[2400000] * 4), **status("0-3"), **cgroup2("/user.slice/user-1000.slice/session-1.scope"),
        **zone(0, "cpu-thermal", 52350),
        "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0\n",
    },
    "raspberry-pi-4": {
        "proc/cpuinfo": arm_cpuinfo([0xd08] * 4, A72),
        "proc/meminfo": meminfo(3884352, 3400000, 102396),
        "proc/swaps": SWAPS + "/var/swap                               file\t\t102396\t\t0\t\t-2\n",
        **tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711"),
        **cpus(4, khz=[1800000] * 4), **status("0-3"), **cgroup2("/"),
        **zone(0, "cpu-thermal", 82100),
        # Too hot now, under-voltage earlier: bits 1, 2, 3 and 16 to 19.
        "sys/devices/platform/soc/soc:firmware/get_throttled": "f000e\n",
    },
    "rk3588": {
        "proc/cpuinfo": arm_cpuinfo([0xd05] * 4 + [0xd0b] * 4, A76),
        "proc/meminfo": meminfo(8096000, 7300000),
        **tree("Radxa ROCK 5B", "radxa,rock-5b", "rockchip,rk3588"),
        **cpus(8, capacities=[530] * 4 + [1010] * 2 + [1024] * 2, khz=[1800000] * 4 + [2256000] * 2 + [2304000] * 2),
        **status("0-7"), **cgroup2("/"),
        **zone(0, "soc-thermal", 41600), **zone(1, "bigcore0-thermal", 43400),
    },
    "x86-laptop": {
        "proc/cpuinfo": x86_cpuinfo("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", 8, V3),
        "proc/meminfo": meminfo(7983000, 4100000, 2097148),
        "proc/swaps": SWAPS + "/dev/nvme0n1p3                          partition\t2097148\t\t0\t\t-2\n",
        "sys/class/dmi/id/sys_vendor": "LENOVO\n", "sys/class/dmi/id/product_name": "ThinkPad T480s\n",
        **cpus(8, khz=[3400000] * 8, siblings=[f"{i % 4},{i % 4 + 4}" for i in range(8)], governor="powersave"),
        **status("0-7"), **cgroup2("/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope"),
        **zone(0, "acpitz", 47000), **zone(1, "x86_pkg_temp", 61000),
        **{f"{CPU}/cpu{i}/thermal_throttle/core_throttle_count": f"{3 if i == 0 else 0}\n" for i in range(8)},
    },
    # A container with 1.5 CPUs and 1 GiB, in a pod with 768 MiB; the mount shows the pod's part of the tree.
    "container": {
        "proc/cpuinfo": x86_cpuinfo("AMD EPYC 7B12", 8, V3),
        "proc/meminfo": meminfo(32800000, 30000000),
        **cpus(8), **status("0-7"), **cgroup2("/pod/box", "/pod"),
        "sys/fs/cgroup/box/cpu.max": "150000 100000\n", "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/box/memory.max": f"{1 << 30}\n", "sys/fs/cgroup/box/memory.current": f"{300 << 20}\n",
        "sys/fs/cgroup/box/memory.stat": f"anon {90 << 20}\nfile {210 << 20}\ninactive_file {200 << 20}\n",
        "sys/fs/cgroup/memory.max": f"{768 << 20}\n", "sys/fs/cgroup/memory.current": f"{300 << 20}\n",
        "sys/fs/cgroup/memory.stat": f"anon {90 << 20}\nfile {210 << 20}\ninactive_file {200 << 20}\n",
    },
    # The same under version 1, with two CPUs by affinity.
    "container-v1": {
        "proc/cpuinfo": x86_cpuinfo("AMD EPYC 7B12", 8, V3),
        "proc/meminfo": meminfo(32800000, 30000000),
        **cpus(8), **status("2,5"),
        "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n",
        "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
                               "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                               "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{512 << 20}\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{100 << 20}\n",
        "sys/fs/cgroup/memory/box/memory.stat": f"cache {60 << 20}\ntotal_inactive_file {50 << 20}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    },
}


def main():
    for machine, files in MACHINES.items():
        shutil.rmtree(HERE / machine, ignore_errors=True)
        for name, text in files.items():
            path = HERE / machine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
