/* A driver with nothing behind it: constant power, a counter that follows the clock. It answers as fast as C can, so
 * that what a benchmark measures is the meter.
 *
 * GPU i draws 300 + i W at 60 % utilization. Its counter holds that power x CLOCK_BOOTTIME in steps of 100 ms, or of
 * STUB_NVML_STEP_NS. STUB_NVML_GPUS sets how many there are (8). Layouts and codes are those of nvml.h.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SUCCESS 0
#define UNINITIALIZED 1
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define INSUFFICIENT_SIZE 7
#define FIELD_ENERGY 83
#define FIELD_POWER_AVERAGE 185
#define FIELD_POWER_INSTANT 186
#define VALUE_UNSIGNED_INT 1
#define VALUE_UNSIGNED_LONG_LONG 3
#define MAX_GPUS 1024

typedef struct { unsigned index; } gpu_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
} pci_info_t;
typedef struct { unsigned pid; unsigned long long used_memory; unsigned gpu_instance, compute_instance; } process_t;

typedef struct {
    unsigned field_id, scope_id;
    long long timestamp, latency_microseconds;
    int value_type, code;
    union { unsigned number; unsigned long long great_number; double real; } value;
} field_t;

static gpu_t gpus[MAX_GPUS];
static unsigned count, sessions;
static uint64_t step_ns;

static int text(char *buffer, unsigned size, const char *value) {
    return (unsigned)snprintf(buffer, size, "%s", value) < size ? SUCCESS : INSUFFICIENT_SIZE;
}

static unsigned milliwatts(const gpu_t *gpu) { return (300 + gpu->index) * 1000; }

int nvmlInitWithFlags(unsigned flags) {
    const char *wanted = getenv("STUB_NVML_GPUS"), *step = getenv("STUB_NVML_STEP_NS");
    (void)flags;
    step_ns = step ? strtoull(step, NULL, 10) : 100000000;
    count = wanted ? (unsigned)atoi(wanted) : 8;
    if (count > MAX_GPUS) count = MAX_GPUS;
    for (unsigned i = 0; i < count; i++) gpus[i].index = i;
    sessions++;
    return SUCCESS;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    if (sessions == 0) return UNINITIALIZED;
    sessions--;
    return SUCCESS;
}

const char *nvmlErrorString(int code) { return code == SUCCESS ? "Success" : "Stub Error"; }
int nvmlSystemGetDriverVersion(char *buffer, unsigned size) { return text(buffer, size, "999.1"); }
int nvmlSystemGetNVMLVersion(char *buffer, unsigned size) { return text(buffer, size, "12.999.1"); }

int nvmlDeviceGetCount_v2(unsigned *value) {
    *value = count;
    return sessions ? SUCCESS : UNINITIALIZED;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t **gpu) {
    if (!sessions) return UNINITIALIZED;
    if (index >= count) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetUUID(gpu_t *gpu, char *buffer, unsigned size) {
    char uuid[48];
    snprintf(uuid, sizeof uuid, "GPU-00000000-0000-4000-8000-%012x", gpu->index);
    return text(buffer, size, uuid);
}

int nvmlDeviceGetName(gpu_t *gpu, char *buffer, unsigned size) {
    (void)gpu;
    return text(buffer, size, "NVIDIA H100 80GB HBM3");
}

int nvmlDeviceGetIndex(gpu_t *gpu, unsigned *value) {
    *value = gpu->index;
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(gpu_t *gpu, pci_info_t *info) {
    info->domain = gpu->index / 256;
    info->bus = gpu->index % 256;
    info->device = info->pci_device_id = info->pci_subsystem_id = 0;
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:00.0", info->domain, info->bus);
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:00.0", info->domain, info->bus);
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(gpu_t *gpu, unsigned *value) {
    *value = milliwatts(gpu);
    return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(gpu_t *gpu, unsigned *value) {
    (void)gpu;
    *value = 700000;
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(gpu_t *gpu, unsigned long long *value) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t counted_ns = ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) / step_ns * step_ns;
    *value = counted_ns / 1000 * milliwatts(gpu) / 1000000;
    return SUCCESS;
}

int nvmlDeviceGetFieldValues(gpu_t *gpu, int wanted, field_t *fields) {
    if (wanted < 1 || !fields) return INVALID_ARGUMENT;
    for (field_t *field = fields; field < fields + wanted; field++) {
        field->timestamp = field->latency_microseconds = 0;
        field->code = field->scope_id == 0 ? SUCCESS : NOT_SUPPORTED;
        if (field->field_id == FIELD_ENERGY) {
            field->value_type = VALUE_UNSIGNED_LONG_LONG;
            nvmlDeviceGetTotalEnergyConsumption(gpu, &field->value.great_number);
        } else if (field->field_id == FIELD_POWER_AVERAGE || field->field_id == FIELD_POWER_INSTANT) {
            field->value_type = VALUE_UNSIGNED_INT;
            field->value.number = milliwatts(gpu);
        } else {
            field->code = NOT_SUPPORTED;
        }
    }
    return SUCCESS;
}

int nvmlDeviceGetNumGpuCores(gpu_t *gpu, unsigned *value) {
    (void)gpu;
    *value = 16896;
    return SUCCESS;
}

int nvmlDeviceGetMaxClockInfo(gpu_t *gpu, int kind, unsigned *value) {
    (void)gpu;
    if (kind != 0 && kind != 1) return NOT_SUPPORTED;
    *value = 1980;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(gpu_t *gpu, utilization_t *rates) {
    (void)gpu;
    rates->gpu = 60;
    rates->memory = 36;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(gpu_t *gpu, memory_t *memory) {
    (void)gpu;
    memory->total = 80ULL << 30;
    memory->used = 21ULL << 30;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(gpu_t *gpu, memory_v2_t *memory) {
    (void)gpu;
    memory->total = 80ULL << 30;
    memory->reserved = 1ULL << 30;
    memory->used = 20ULL << 30;
    memory->free = memory->total - memory->reserved - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t *gpu, unsigned *room, process_t *processes) {
    unsigned given = *room;
    *room = 1;
    if (given < 1 || !processes) return INSUFFICIENT_SIZE;
    processes[0] = (process_t){1000 + gpu->index, 20ULL << 30, 0xFFFFFFFF, 0xFFFFFFFF};
    return SUCCESS;
}

int nvmlDeviceGetMPSComputeRunningProcesses_v3(gpu_t *gpu, unsigned *room, process_t *processes) {
    (void)gpu;
    (void)processes;
    *room = 0;
    return SUCCESS;
}
