package topology

import "github.com/siteprobe/siteprobe/collectors/snmp/pdu"

// What is asked for.
var (
	oidSysDescr    = pdu.MustOID("1.3.6.1.2.1.1.1.0")
	oidSysObjectID = pdu.MustOID("1.3.6.1.2.1.1.2.0")
	oidSysName     = pdu.MustOID("1.3.6.1.2.1.1.5.0")

	oidMikrotik = pdu.MustOID("1.3.6.1.4.1.14988") // the vendor

	// IF-MIB.
	oidIfDescr       = pdu.MustOID("1.3.6.1.2.1.2.2.1.2")
	oidIfType        = pdu.MustOID("1.3.6.1.2.1.2.2.1.3")
	oidIfSpeed       = pdu.MustOID("1.3.6.1.2.1.2.2.1.5")
	oidIfPhysAddress = pdu.MustOID("1.3.6.1.2.1.2.2.1.6")
	oidIfName        = pdu.MustOID("1.3.6.1.2.1.31.1.1.1.1")
	oidIfHighSpeed   = pdu.MustOID("1.3.6.1.2.1.31.1.1.1.15")
	oidIfAlias       = pdu.MustOID("1.3.6.1.2.1.31.1.1.1.18")
	// IEEE8023-LAG-MIB, dot3adAggPortAttachedAggID.
	oidAttachedAgg = pdu.MustOID("1.2.840.10006.300.43.1.2.1.1.13")

	// LLDP-MIB.
	oidChassisSubtype = pdu.MustOID("1.0.8802.1.1.2.1.3.1.0")
	oidChassisID      = pdu.MustOID("1.0.8802.1.1.2.1.3.2.0")
	oidLocPortSubtype = pdu.MustOID("1.0.8802.1.1.2.1.3.7.1.2")
	oidLocPortID      = pdu.MustOID("1.0.8802.1.1.2.1.3.7.1.3")
	oidLocPortDescr   = pdu.MustOID("1.0.8802.1.1.2.1.3.7.1.4")
	oidRemChassisType = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.4")
	oidRemChassisID   = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.5")
	oidRemPortType    = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.6")
	oidRemPortID      = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.7")
	oidRemPortDescr   = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.8")
	oidRemSysName     = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.9")
	oidRemSysDescr    = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.10")
	oidRemCaps        = pdu.MustOID("1.0.8802.1.1.2.1.4.1.1.12") // enabled
	oidRemAddress     = pdu.MustOID("1.0.8802.1.1.2.1.4.2.1.3")  // lldpRemManAddrIfSubtype; the address is in the index
	// MIKROTIK-MIB, mtxrNeighborInterfaceID: RouterOS leaves the port out of LLDP's index.
	oidMikrotikInterface = pdu.MustOID("1.3.6.1.4.1.14988.1.1.11.1.1.8")

	// CISCO-CDP-MIB, cdpCacheTable.
	oidCDPAddressType = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.3")
	oidCDPAddress     = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.4")
	oidCDPVersion     = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.5")
	oidCDPDevice      = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.6")
	oidCDPPort        = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.7")
	oidCDPPlatform    = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.8")
	oidCDPCaps        = pdu.MustOID("1.3.6.1.4.1.9.9.23.1.2.1.1.9")

	// BRIDGE-MIB and Q-BRIDGE-MIB.
	oidBridgeAddress   = pdu.MustOID("1.3.6.1.2.1.17.1.1.0")
	oidBasePortIfIndex = pdu.MustOID("1.3.6.1.2.1.17.1.4.1.2")
	oidFDBPort         = pdu.MustOID("1.3.6.1.2.1.17.4.3.1.2")
	oidFDBStatus       = pdu.MustOID("1.3.6.1.2.1.17.4.3.1.3")
	oidQFDBPort        = pdu.MustOID("1.3.6.1.2.1.17.7.1.2.2.1.2")
	oidQFDBStatus      = pdu.MustOID("1.3.6.1.2.1.17.7.1.2.2.1.3")
	// CISCO-VTP-MIB, vtpVlanState.
	oidVLANState = pdu.MustOID("1.3.6.1.4.1.9.9.46.1.3.1.1.2")

	// IP-MIB.
	oidIPAddress   = pdu.MustOID("1.3.6.1.2.1.4.20.1.2") // ipAdEntIfIndex
	oidARP         = pdu.MustOID("1.3.6.1.2.1.4.22.1.2") // ipNetToMediaPhysAddress
	oidNetToPhys   = pdu.MustOID("1.3.6.1.2.1.4.35.1.4") // ipNetToPhysicalPhysAddress
	oidIPAddrTable = pdu.MustOID("1.3.6.1.2.1.4.34.1.3") // ipAddressIfIndex
)
